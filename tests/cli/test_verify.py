import json
from pathlib import Path

import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli import main


@pytest.fixture
def container(here: Path) -> Path:
    nvc_jax.compress("v.npy", "v.zarr", max_error=2, chunks=(16, 16, 16))
    return here / "v.zarr"


def test_the_original_comes_before_the_container(container: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["verify", "v.npy", "v.zarr", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report.keys() == {"chunks", "bound", "max_error", "measured_max_error"}
    assert report["chunks"] == 2 * 2 * 2
    assert report["measured_max_error"] == report["max_error"] <= report["bound"] == 2
    assert main(["verify", "v.npy", "v.zarr"]) == 0
    assert capsys.readouterr().out == (
        "v.zarr: all 8 chunks are whole; largest error against v.npy: "
        f"{report['max_error']:g}, within the bound of 2\n"
    )
    assert main(["--quiet", "verify", "v.npy", "v.zarr"]) == 0
    assert capsys.readouterr().out == ""


def test_a_container_is_decoded_without_its_original(container: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["verify", "v.zarr"]) == 0
    assert capsys.readouterr().out.endswith("; no original was compared\n")
    (container / "c" / "1" / "1" / "1").unlink()
    assert main(["verify", "v.zarr"]) == 1
    assert "chunk (1, 1, 1) of `v.zarr` is missing" in capsys.readouterr().err


def test_another_original_is_found_out(container: Path, capsys: pytest.CaptureFixture) -> None:
    np.save("other.npy", np.load("v.npy") ^ 64)
    assert main(["verify", "other.npy", "v.zarr"]) == 1
    assert "is wrong by" in capsys.readouterr().err
