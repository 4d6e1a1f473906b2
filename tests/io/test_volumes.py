import contextlib
import gc
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from nvc_jax.io.volumes import VolumeMetadata, open_volume, read_metadata, read_volume, write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


@pytest.mark.parametrize("name", ["v.npy", "v.npz", "v_4x3x2_uint16.raw", "v.zarr"])
def test_files_round_trip_and_replace(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_volume(path, VOLUME + 1)
    write_volume(path, VOLUME)
    np.testing.assert_array_equal(read_volume(path), VOLUME)
    np.testing.assert_array_equal(open_volume(str(path))[1, 1:, 2].read().result(), VOLUME[1, 1:, 2])
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_arrays() -> None:
    np.testing.assert_array_equal(read_volume(VOLUME), VOLUME)
    np.testing.assert_array_equal(read_volume(VOLUME[None, ..., None].astype(">u2")), VOLUME, strict=True)


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


@pytest.mark.parametrize("name", ["v.npy", "v_4096x4096x4096_uint8.raw"])
def test_huge_files_are_read_where_asked(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        if name == "v.npy":
            header = {"descr": "|u1", "fortran_order": False, "shape": (4096, 4096, 4096)}
            np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + (1 << 36))
        file.seek(-1, 2)
        file.write(b"\7")
    store = open_volume(path)
    assert store[4095, 4094:, 4094:].read().result().tolist() == [[0, 0], [0, 7]]
    assert not store[2000, 77, 1000:1010].read().result().any()


@pytest.mark.parametrize("name", ["v.npy", "v_4x3x2_uint16.raw"])
def test_nothing_stays_mapped(name: str, tmp_path: Path) -> None:
    write_volume(tmp_path / name, VOLUME)
    store = open_volume(tmp_path / name)
    store.read().result()
    assert name not in Path("/proc/self/maps").read_text()


def test_relative_paths_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "v.npy", VOLUME)
    monkeypatch.chdir(tmp_path)
    store = open_volume("v.npy")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(store.read().result(), VOLUME)


def test_temporary_files_go_with_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    np.savez_compressed(tmp_path / "v.npz", volume=VOLUME)
    store = open_volume(tmp_path / "v.npz")
    assert not list((tmp_path / "temporary").iterdir())
    view = store[1]
    del store
    gc.collect()
    np.testing.assert_array_equal(view.read().result(), VOLUME[1])
    assert _n_open(tmp_path / "temporary") == 1
    del view
    gc.collect()
    assert _n_open(tmp_path / "temporary") == 0


def _n_open(directory: Path) -> int:
    links = []
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            links.append(os.readlink(f"/proc/self/fd/{entry}"))
    return sum(link.startswith(str(directory)) for link in links)


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


def test_truncated_files_are_named(tmp_path: Path) -> None:
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


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VOLUME)
    store = open_volume(tmp_path / "v.npy")
    os.truncate(tmp_path / "v.npy", 130)
    with pytest.raises(ValueError, match="mmap length"):
        store.read().result()


def test_unknown_suffixes_are_named(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("no volume")
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=r"suffix must be one of \.npy, .*\.nii\.gz, .*\.zarr"):
            read(tmp_path / "v.txt")


def test_metadata_of_flat_files_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "rock_4x3x2_0.5x1x2_uint16.raw"
    VOLUME.tofile(path)
    assert read_metadata(path) == VolumeMetadata(spacing=(2.0, 1.0, 0.5))
    write_volume(tmp_path / "v.npy", VOLUME)
    for source in (tmp_path / "v.npy", VOLUME, VOLUME.tolist()):
        assert read_metadata(source) == VolumeMetadata()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_metadata(tmp_path / "nothing.npy")


class _Labelled:
    """Like an ``xarray.DataArray``."""

    dims = ("time", "depth", "lat", "lon")
    shape = (1, 2, 3, 4)
    attrs: ClassVar = {"long_name": "salinity", "valid_range": np.float32([0, 40]), "odd": object()}

    def __init__(self, lines: dict[str, list[float]]) -> None:
        self.coords = {
            name: SimpleNamespace(values=np.array(line), attrs={"units": f"{name} units"})
            for name, line in lines.items()
        }

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return VOLUME[None]


def test_metadata_of_labelled_arrays() -> None:
    array = _Labelled({"depth": [0, 10], "lat": [-1, -0.5, 0], "lon": [3, 3.25, 3.5, 3.75]})
    np.testing.assert_array_equal(read_volume(array), VOLUME)
    assert read_metadata(array) == VolumeMetadata(
        ("depth", "lat", "lon"),
        (10.0, 0.5, 0.25),
        (0.0, -1.0, 3.0),
        ("depth units", "lat units", "lon units"),
        {"long_name": "salinity", "valid_range": [0.0, 40.0]},
    )
    uneven = read_metadata(_Labelled({"depth": [0, 10], "lat": [-1, -0.5, 7], "lon": [3, 2, 1, 0]}))
    assert (uneven.dimension_names, uneven.spacing, uneven.origin) == (("depth", "lat", "lon"), None, None)
