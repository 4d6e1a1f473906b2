import json
from pathlib import Path

import pytest

import nvc_jax
from nvc_jax.cli import main


def test_metadata_are_printed(here: Path, capsys: pytest.CaptureFixture) -> None:
    nvc_jax.compress("v.npy", "v.zarr", max_error=2)
    assert main(["info", "v.zarr", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == nvc_jax.info("v.zarr")
    assert main(["info", "v.zarr"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shape           [20, 24, 28]"
    assert "bound           2" in lines
    assert main(["info", "nothing.zarr"]) == 1
