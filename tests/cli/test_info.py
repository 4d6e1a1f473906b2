import json
from pathlib import Path

import pytest

import nvc_jax
from nvc_jax.cli import main
from nvc_jax.evaluation.system import system


def test_metadata_are_printed(here: Path, capsys: pytest.CaptureFixture) -> None:
    nvc_jax.compress("v.npy", "v.zarr", max_error=2)
    assert main(["info", "v.zarr", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == nvc_jax.info("v.zarr")
    assert main(["info", "v.zarr"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shape           [20, 24, 28]"
    assert "bound           2" in lines
    assert main(["info", "nothing.zarr"]) == 1


def test_the_system_is_described(capsys: pytest.CaptureFixture) -> None:
    assert main(["info", "--system", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values == system()
    assert values["native_kernels"] == "ready"


@pytest.mark.parametrize("given", [[], ["--system", "v.zarr"]])
def test_either_a_container_or_the_system_is_described(
    given: list[str], capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["info", *given])
    assert exit_info.value.code == 2
    assert "--system" in capsys.readouterr().err
