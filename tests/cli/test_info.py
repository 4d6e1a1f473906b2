import json
import re
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


@pytest.mark.parametrize("shard", [[], ["--shard", "16,16,32"]])
def test_a_lost_chunk_is_named(shard: list[str], here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["compress", "v.npy", "v.zarr", "--max-error", "0", "--chunk", "16,16,16", *shard]) == 0
    Path("v.zarr", "c", "0", "1", "0").unlink()
    for command in (["info", "v.zarr"], ["verify", "v.zarr"], ["decompress", "v.zarr", "w.npy"]):
        assert main(command) == 1
        lost = r"(chunk \(0, 1, 0\)|`.*/c/0/1/0`) of `v.zarr` is missing\n"
        assert re.fullmatch(f"nvc {command[0]}: {lost}", capsys.readouterr().err)
    assert sorted(entry.name for entry in here.iterdir()) == ["v.npy", "v.zarr"]


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
