import importlib.metadata
import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_kinds import registered
from tiny_model.config import BlockMeanConfig
from tiny_model.model import BlockMeanModel
from tiny_model.training import BlockMeanTraining

import nvc_jax
from nvc_jax.cli.main import main, make_parser
from nvc_jax.models.registry import ModelKind

COMMANDS = ["compress", "decompress", "info", "view", "evaluate", "verify", "report", "compare", "train"]
COMMANDS += ["models", "fetch", "demo", "completion"]


def test_help_lists_every_command(capsys: pytest.CaptureFixture) -> None:
    listed = [line.split()[0] for line in make_parser().format_help().splitlines() if line.startswith("    ")]
    assert [name for name in listed if name in COMMANDS] == COMMANDS
    for name in COMMANDS:
        with pytest.raises(SystemExit) as exit_info:
            main([name, "--help"])
        assert exit_info.value.code == 0
        printed = capsys.readouterr().out
        assert printed.startswith(f"usage: nvc {name} ")
        examples = printed.partition("\nexamples:\n")[2].splitlines()
        assert 2 <= len(examples) <= 5, name
        for example in examples:
            words = shlex.split(example, comments=True)
            if words[0] == "nvc":
                plain = itertools.takewhile(lambda word: word not in (">", "&&"), words[1:])
                assert make_parser().parse_args([*plain]).command == name
            else:
                assert f"nvc {name}" in example


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["compress", "--help"], ["demo"]])
def test_the_parser_imports_neither_jax_nor_numpy(arguments: list[str]) -> None:
    code = (
        "import contextlib, sys\nfrom nvc_jax.cli.main import make_parser\n"
        f"with contextlib.suppress(SystemExit):\n    make_parser().parse_args({arguments})\n"
        "print(sorted({'jax', 'numpy', 'tensorstore', 'rich'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_no_library_of_an_extra_is_imported_at_start() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    core = {re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]}
    wanted = {
        re.match(r"[\w-]+", requirement)[0]
        for extra in extras.keys() - {"test", "dev", "bench", "cuda"}
        for requirement in extras[extra]
    } - {"nvc_jax"}
    assert len(wanted) > 10
    modules = importlib.metadata.packages_distributions()
    names = {name for name, owners in modules.items() if wanted & set(owners) and not core & set(owners)}
    assert {"h5py", "matplotlib", "shtab"} <= names
    code = (
        "import sys, nvc_jax\nfrom nvc_jax.cli.main import make_parser\n"
        "nvc_jax.compress, nvc_jax.open, nvc_jax.evaluate, nvc_jax.train\n"
        f"make_parser().parse_args(['compress', 'a', 'b'])\nprint(sorted({names!r} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "[]\n"


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == f"nvc {nvc_jax.__version__}\n"
    with pytest.raises(SystemExit):
        main(["compress", "--version"])
    assert capsys.readouterr().out == f"nvc {nvc_jax.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--version"], 0, "nvc 0"),
        (["info", "missing.zarr"], 1, "nvc info: "),
        (["compress", "--nonsense"], 2, "usage: nvc compress"),
    ],
)
def test_python_runs_the_package_as_the_script(
    arguments: list[str], status: int, said: str, here: Path
) -> None:
    run = subprocess.run([sys.executable, "-m", "nvc_jax", *arguments], capture_output=True, text=True)
    assert run.returncode == status
    assert (run.stderr if status else run.stdout).startswith(said)


def test_errors_are_json_where_results_are(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["info", "nothing.zarr", "--json"]) == 1
    out, err = capsys.readouterr()
    failure = json.loads(err)
    assert (out, failure["command"], failure["status"]) == ("", "info", 1)
    assert "nothing.zarr" in failure["error"]
    with pytest.raises(SystemExit) as exit_info:
        main(["--json", "info"])
    assert exit_info.value.code == 2
    failure = json.loads(capsys.readouterr().err)
    assert (failure["command"], failure["status"]) == ("info", 2)
    assert "`nvc info --help` explains the arguments" in failure["error"]


def test_errors_are_one_line_and_a_status(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["compress", "nothing.npy", "v.zarr"]) == 1
    assert capsys.readouterr().err == "nvc compress: `nothing.npy` does not exist\n"
    assert [entry.name for entry in here.iterdir()] == ["v.npy"]


@pytest.mark.parametrize(
    "arguments", [["decompress", "a", "b", "--region", "1:2,3"], ["compress", "a", "b", "--chunk", "8"]]
)
def test_wrong_usage_says_how(arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert "must be" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["explode"], ["info"], ["models", "nvc-1"]])
def test_unknown_commands_and_arguments_are_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2


class InterruptedModel(BlockMeanModel):
    """A model during whose work the user presses Ctrl-C."""

    def chunk_encoder(self, *_: Any) -> Any:
        raise KeyboardInterrupt


def test_ctrl_c_is_a_status_and_no_traceback(here: Path, capsys: pytest.CaptureFixture) -> None:
    with registered(ModelKind(BlockMeanConfig, InterruptedModel, BlockMeanTraining)):
        nvc_jax.train(BlockMeanTraining(), [np.load("v.npy")]).save("model")
        assert main(["compress", "v.npy", "v.zarr", "--model", "model"]) == 130
    assert capsys.readouterr().err == "nvc compress: interrupted; nothing of the output is kept\n"
    assert sorted(entry.name for entry in here.iterdir()) == ["model", "v.npy"]
