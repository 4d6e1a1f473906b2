"""The README's two commands, its length, and the scores of the default model's card."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from nvc_jax.models.checkpoints import shipped_models

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
# .ci/run runs these two as they stand, in fresh environments.
INSTALLS = [line for line in README.splitlines() if line.startswith("$ pip install")]


def test_the_demo_draws_and_measures(tmp_path: Path) -> None:
    assert INSTALLS[0].endswith("&& nvc demo")
    # One model of each kind is enough here: .ci/run takes all.
    arguments = ["demo", "--model", "nvc-1", "--model", "zero-margin"]
    out = subprocess.run(
        [sys.executable, "-c", "import sys; from nvc_jax.cli import main; sys.exit(main())", *arguments],
        check=True,
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    assert (tmp_path / "nvc-demo.png").read_bytes().startswith(b"\x89PNG")
    for column in ("ratio", "PSNR dB", "max error", "compress s", "nvc-1", "zero-margin"):
        assert column in out
    assert "two-wide-margin" not in out


def test_ci_runs_the_two_commands() -> None:
    assert len(INSTALLS) == 2
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_a_package_index_shows_no_link_that_leads_nowhere() -> None:
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"]
    text = README
    for substitution in hooks["fancy-pypi-readme"]["substitutions"]:
        assert re.search(substitution["pattern"], text), substitution
        text = re.sub(substitution["pattern"], substitution["replacement"], text)
    assert all("://" in target for target in re.findall(r"\]\(([^)]*)\)", text))
    assert not re.search(r"!\[|<!--", text)
    assert "docs/" in text


def test_the_readme_is_one_screen_and_a_half() -> None:
    assert len(README.splitlines()) <= 110


def test_the_card_of_nvc_1_quotes_the_mean_ratios() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "rate-distortion.json").read_text())
    means = measured["by_kind"]["mean over kinds"]
    card = (shipped_models()["nvc-1"] / "CARD.md").read_text().splitlines()
    scores = [line.split("|")[2].strip() for line in card if line.startswith("| mean ratio of ")]
    assert scores == [f"{means[name]:.2f}" for name in ("SPERR", "SZ3", "zfp")]
