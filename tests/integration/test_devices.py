"""Containers are the same, byte for byte, on one device and on several."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from compilations import compilations
from sample_volume import VOLUME
from stored_files import read_files

import nvc_jax
from nvc_jax.core.devices import sharing_out

OPTIONS: dict[str, dict[str, Any]] = {
    "nvc-1": {"max_error": 1.0, "chunks": (16, 16, 16)},
    "two-wide-margin": {"step": 0.1, "model": "two-wide-margin", "chunks": (16, 16, 16)},
}


def code(directory: Path, options: dict[str, Any]) -> dict[str, bytes]:
    """Compress and decompress a volume; names and contents of the files that this makes."""
    directory.mkdir()
    nvc_jax.compress(VOLUME, directory / "v.zarr", **options)
    nvc_jax.decompress(directory / "v.zarr", directory / "v.npy")
    return read_files(directory)


@pytest.mark.parametrize("name", OPTIONS)
def test_bytes_do_not_depend_on_the_number_of_devices(name: str, tmp_path: Path) -> None:
    alone = code(tmp_path / "alone", OPTIONS[name])
    assert compilations(lambda: code(tmp_path / "again", OPTIONS[name])) == []

    def code_on_all() -> None:
        with sharing_out(jax.devices()):
            assert code(tmp_path / "shared", OPTIONS[name]) == alone

    assert compilations(code_on_all) != []  # those of the second device


def test_a_chosen_default_device_does_all_the_work(tmp_path: Path) -> None:
    options = OPTIONS["two-wide-margin"]
    alone = code(tmp_path / "alone", options)
    second = jax.devices()[1]
    with jax.default_device(second):
        assert code(tmp_path / "there", options) == alone
    with sharing_out([second]):  # for which all programs are there by now
        assert compilations(lambda: code(tmp_path / "shared", options)) == []
        view = nvc_jax.open(tmp_path / "alone" / "v.zarr")
    assert compilations(lambda: view.read().result()) == []
    with sharing_out(jax.devices()):
        view = nvc_jax.open(tmp_path / "alone" / "v.zarr")
    np.testing.assert_array_equal(view.read().result(), np.load(tmp_path / "alone" / "v.npy"))
