from pathlib import Path

import numpy as np
import pytest

from nvc_jax.volumes import open_volume, read_volume, replacing, write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


@pytest.mark.parametrize("name", ["v.npy", "v.npz", "v_4x3x2_uint16.raw", "v.zarr"])
def test_files_round_trip_and_replace(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_volume(path, VOLUME + 1)
    write_volume(path, VOLUME)
    np.testing.assert_array_equal(read_volume(path), VOLUME)
    np.testing.assert_array_equal(open_volume(str(path))[1, 1:, 2].read().result(), VOLUME[1, 1:, 2])
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_arrays_and_big_endian_files(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_volume(VOLUME), VOLUME)
    np.save(tmp_path / "v.npy", VOLUME.astype(">u2"))
    assert read_volume(tmp_path / "v.npy").dtype == np.uint16


def test_raw_files_must_match_their_names(tmp_path: Path) -> None:
    path = tmp_path / "v_4x3x3_uint16.raw"
    VOLUME.tofile(path)
    with pytest.raises(ValueError, match="holds 48 bytes; its name says 72"):
        open_volume(path)
    path = path.rename(tmp_path / "v.raw")
    with pytest.raises(ValueError, match=r"name_XxYxZ_dtype\.raw"):
        open_volume(path)
    with pytest.raises(ValueError, match=r"_4x3x2_uint16\.raw"):
        write_volume(tmp_path / "v_2x3x4_uint16.raw", VOLUME)


def test_bad_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_volume(tmp_path / "nothing.npy")
    (tmp_path / "v.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"not a readable \.npy"):
        open_volume(tmp_path / "v.npy")
    np.savez(tmp_path / "v.npz", a=VOLUME, b=VOLUME)
    with pytest.raises(ValueError, match="name the volume's member `volume`"):
        open_volume(tmp_path / "v.npz")
    (tmp_path / "v.zarr").mkdir()
    with pytest.raises(ValueError, match="no readable Zarr array"):
        open_volume(tmp_path / "v.zarr")
    with pytest.raises(ValueError, match="suffix must be one of"):
        write_volume(tmp_path / "v.txt", VOLUME)
    with pytest.raises(ValueError, match="three axes"):
        open_volume(VOLUME[0])
    with pytest.raises(TypeError, match="complex64"):
        open_volume(VOLUME.astype(np.complex64))


@pytest.mark.parametrize("name", ["v.npy", "v_4x3x2_uint16.raw", "v.zarr"])
def test_what_cannot_be_read_is_not_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="three axes"):
        write_volume(tmp_path / name, VOLUME[0])
    with pytest.raises(TypeError, match="complex64"):
        write_volume(tmp_path / name, VOLUME.astype(np.complex64))
    assert not list(tmp_path.iterdir())


def test_only_zarr_directories_are_replaced(tmp_path: Path) -> None:
    directory = tmp_path / "v.zarr"
    directory.mkdir()
    (directory / "thesis.txt").write_text("the only copy")
    with pytest.raises(FileExistsError, match="no Zarr store"):
        write_volume(directory, VOLUME)
    assert (directory / "thesis.txt").read_text() == "the only copy"


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    write_volume(path, VOLUME)
    with pytest.raises(OSError, match="disk full"), replacing(path):
        raise OSError("disk full")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass  # nothing was written: the very last rename fails
    np.testing.assert_array_equal(read_volume(path), VOLUME)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]
