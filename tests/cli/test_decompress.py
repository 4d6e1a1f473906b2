from pathlib import Path

import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli import main


@pytest.fixture
def container(here: Path) -> Path:
    nvc_jax.compress("v.npy", "v.zarr", model="two-wide-margin", chunks=(16, 16, 16))
    return here / "v.zarr"


def test_a_region_is_decoded_into_a_file(container: Path) -> None:
    assert main(["decompress", "v.zarr", "w.npy", "--region", "2:5,:,10:", "--mode", "crop"]) == 0
    decoded = np.load("w.npy")
    assert decoded.shape == (3, 24, 18)
    np.testing.assert_array_equal(decoded, nvc_jax.open("v.zarr", mode="crop")[2:5, :, 10:].read().result())


def test_all_of_a_container_or_its_preview_is_decoded(container: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["decompress", "v.zarr", "w.npy"]) == 0
    np.testing.assert_array_equal(np.load("w.npy"), nvc_jax.open("v.zarr").read().result())
    assert main(["decompress", "v.zarr", "w.npy", "--preview"]) == 1
    assert "`w.npy` is an existing file; name a new path, or pass" in capsys.readouterr().err
    assert main(["decompress", "v.zarr", "w.npy", "--preview", "--overwrite"]) == 0
    np.testing.assert_array_equal(np.load("w.npy"), nvc_jax.preview("v.zarr"))


def test_regions_outside_are_named(container: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["decompress", "v.zarr", "w.npy", "--region", "2:25,:,10:"]) == 1
    assert "must lie within the volume, 0:20,0:24,0:28" in capsys.readouterr().err


def test_what_a_pattern_of_the_shell_names_is_kept(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["decompress", "a.zarr", "b.zarr", "c.zarr"]) == 1
    assert """for f in *.zarr; do nvc decompress "$f" "${f%.zarr}.npy"; done""" in capsys.readouterr().err


def test_nothing_is_written_into_a_container(container: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["decompress", "v.zarr", "v.zarr/w.npy"]) == 1
    assert "lies inside the source" in capsys.readouterr().err
