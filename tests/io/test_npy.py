from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<f4", ">f8", "|i1"])
@pytest.mark.parametrize("name", ["v.npy", "v.npz"])
def test_files_of_either_byte_and_axis_order(name: str, dtype: str, order: str, tmp_path: Path) -> None:
    volume = np.asarray(VOLUME, dtype, order=order)
    if name == "v.npy":
        np.save(tmp_path / name, volume)
    else:
        np.savez(tmp_path / name, anything=volume)
    native = VOLUME.astype(np.dtype(dtype).newbyteorder("="))
    np.testing.assert_array_equal(read_volume(tmp_path / name), native, strict=True)


def test_the_array_volume_of_several_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", other=VOLUME + 1, volume=VOLUME)
    np.testing.assert_array_equal(read_volume(tmp_path / "v.npz"), VOLUME)


def test_an_archive_of_several_other_arrays_is_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", a=VOLUME, b=VOLUME)
    with pytest.raises(ValueError, match="name the volume's member `volume`"):
        open_volume(tmp_path / "v.npz")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "v.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"not a readable \.npy"):
        open_volume(tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", VOLUME)
    content = (tmp_path / "v.npy").read_bytes()
    (tmp_path / "v.npy").write_bytes(content[:-1])
    with pytest.raises(
        ValueError, match=r"not a readable \.npy array: .* holds 175 bytes; its header says 176"
    ):
        open_volume(tmp_path / "v.npy")
    for damaged in (b"", b"no archive", content):
        (tmp_path / "v.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"not a readable \.npz volume"):
            open_volume(tmp_path / "v.npz")


def test_files_have_no_metadata(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VOLUME)
    assert read_metadata(tmp_path / "v.npy") == VolumeMetadata()


@pytest.mark.parametrize("shape", [(4, 6), (2, 1, 3, 4), (1, 2, 3, 4, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_rank_open(shape: tuple[int, ...], order: Any, tmp_path: Path) -> None:
    values = np.asarray(np.arange(24, dtype=np.int16).reshape(shape), order=order)
    np.save(tmp_path / "v.npy", values)
    np.savez(tmp_path / "v.npz", volume=values)
    for name in ("v.npy", "v.npz"):
        np.testing.assert_array_equal(read_volume(tmp_path / name), values, strict=True)


def test_arrays_of_objects_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.full((4, 4, 4), None))
    with pytest.raises(TypeError, match=r"v.npy` has dtype object; supported dtypes are"):
        open_volume(tmp_path / "v.npy")
