"""The README, the pages of ``docs/`` and the scripts of ``examples/``: all that they show is run."""

import contextlib
import importlib
import io
import pkgutil
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tables

import nvc_jax
from nvc_jax.cli import main
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume

ROOT = Path(__file__).parents[2]
PAGES = tables.pages()
ON_CLUSTERS = {f"examples/{name}" for name in ("dask_cluster.py", "mpi.sh", "slurm.sh")}
"""Examples that start several processes: `test_clusters` runs them."""
EXAMPLES = [
    path for path in sorted((ROOT / "examples").glob("*")) if f"examples/{path.name}" not in ON_CLUSTERS
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LANGUAGES = ("", "python", "sh")
"""Languages of blocks: commands that are run, code that is run, and what cannot run here."""
PLAIN = ["FORMAT.md", "CONTRIBUTING.md", "CHANGELOG.md"]
"""Pages at the root that the site has, too."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks_of(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text())


def run_commands(block: str) -> None:
    """Run lines of the form ``$ nvc …``; ``$ pip install …`` is run by ``.ci/run``."""
    for line in block.replace("\\\n", " ").splitlines():
        assert line.startswith("$ "), line
        program, *arguments = shlex.split(line.removeprefix("$ "))
        if program == "pip":
            continue
        assert program == "nvc", line
        assert main(arguments) == 0, line


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=name_of)
def test_blocks_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("volume.npy", read_volume(SAMPLE)[:20, :30, 24:96].astype(np.float32))
    namespace: dict = {}
    for language, block in blocks_of(page):
        assert language in LANGUAGES
        if language == "python":
            exec(compile(block, page.name, "exec"), namespace)
        elif not language:
            run_commands(block)


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_examples_run(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(example), run_name="__main__")
    assert "times smaller" in capsys.readouterr().out
    assert len(example.read_text().splitlines()) <= 60


def test_there_is_an_example_for_every_field() -> None:
    fields = " ".join(page.read_text() for page in (ROOT / "docs" / "fields").glob("*.md"))
    assert sorted(re.findall(r"`(examples/\w+\.py)`", fields)) == [name_of(path) for path in EXAMPLES]
    assert len(EXAMPLES) == 5
    clusters = (ROOT / "docs" / "clusters.md").read_text()
    assert set(re.findall(r"`(examples/\w+\.\w+)`", clusters)) == ON_CLUSTERS


def commands_not_run() -> Iterator[tuple[str, str]]:
    """Commands of ``nvc`` in blocks that do not run, with the names of their pages."""
    for page in PAGES:
        for language, block in blocks_of(page):
            joined = block.replace("\\\n", " ")
            for command in re.findall(r"\bnvc [a-z].*", joined) if language == "sh" else []:
                yield name_of(page), command


def help_of(command: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([command, "--help"])
    return out.getvalue()


def test_options_of_commands_that_do_not_run_exist() -> None:
    found = list(commands_not_run())
    assert found
    for page, text in found:
        known = set(re.findall(r"--[\w-]+", help_of(text.split()[1])))
        assert set(re.findall(r"(?<=\s)--[\w-]+", text)) <= known, (page, text)


@pytest.mark.parametrize("page", [*PAGES, *(ROOT / name for name in PLAIN)], ids=name_of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = BLOCK.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        if "://" in path:
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), target
        assert not heading or heading in headings_of(file), target


def headings_of(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MkDocs make them, and of the symbols that it documents."""
    text = BLOCK.sub("", page.read_text())
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}
    return anchors | set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_quoted_figures_are_what_was_measured(page: Path) -> None:
    text = page.read_text()
    assert tables.rewrite(text) == text, "run python benchmarks/tables.py"


def test_every_quote_is_shown() -> None:
    shown = set(re.findall(r"<!-- table: ([\w-]+) -->", "".join(page.read_text() for page in PAGES)))
    assert shown == tables.QUOTES.keys()


def test_only_marked_regions_are_rewritten() -> None:
    page = "a\n<!-- table: domain -->\nold\n<!-- end -->\nb\n"
    new = tables.rewrite(page)
    assert new.startswith("a\n<!-- table: domain -->\n")
    assert new.endswith("<!-- end -->\nb\n")
    assert "old" not in new
    assert "| series |" in new
    assert tables.rewrite(new) == new


def test_another_measurement_changes_the_quotes() -> None:
    measured = {
        "geometric_mean_ratio": {"new": {"nvc-1": 1.5, "fitted to the series": 0.996, "with a filter": 1.75}},
        "geometric_mean_nvc_1_over_fitted": {"new": {"fitted to the series": 0.664, "with a filter": 1.2}},
        "nvc_1_over_fitted_in_one_container": {"new": {"fitted to the series": 0.7, "with a filter": 1.3}},
        "nvc_1_over_chunks_of_several_steps": {
            "new": {"nvc-1": 1.1, "fitted to the series": 1.2, "with a filter": 1.4}
        },
        "model_bytes": {"new": {"fitted to the series": 41_500, "with a filter": 70_000}},
    }
    new = tables.rewrite("<!-- table: domain -->\n<!-- end -->", lambda _: measured)
    assert (
        "| new | 1.50 | 1.00 | 1.75 | 0.66 and 1.20 | 0.70 and 1.30 | 1.10, 1.20, 1.40 | 42 and 70 |" in new
    )


@pytest.mark.parametrize("text", ["<!-- table: domain -->\n", "<!-- table: nothing -->\n<!-- end -->"])
def test_a_wrong_region_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"no end|no quotes"):
        tables.rewrite(text)


def public_symbols() -> set[str]:
    """Names that the package and its packages offer, each once; the package's own come first."""
    own = {f"nvc_jax.{name}" for name in nvc_jax.__all__ if name != "__version__"}
    values = {id(getattr(nvc_jax, name)) for name in nvc_jax.__all__}
    packages = [module.name for module in pkgutil.iter_modules(nvc_jax.__path__)]
    for package in set(packages) - {"cli"}:  # which is a program
        module = importlib.import_module(f"nvc_jax.{package}")
        for name in getattr(module, "__all__", ()):
            if id(getattr(module, name)) not in values:
                own.add(f"nvc_jax.{package}.{name}")
    return own


def test_every_public_symbol_is_documented() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    documented = re.findall(r"^::: (\S+)$", pages, re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == public_symbols()


def test_every_extra_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "start.md").read_text(), re.MULTILINE)
    explained = re.findall(r"`(\w+)`", " ".join(rows))
    assert sorted(explained) == sorted(project["optional-dependencies"])


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r"^ +- (?:[^#\n]*: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = [str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert sorted(listed) == sorted(pages + PLAIN)
