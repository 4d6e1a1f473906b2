import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
import tensorstore as ts
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.volumes import open_volume, read_metadata, read_volume


def _nrrd(encoding: str, **header: Any) -> Callable[[Path], None]:
    return lambda path: nrrd.write(str(path), VOLUME, {"encoding": encoding, **header}, index_order="C")


def _write_big_endian(path: Path) -> None:
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nencoding: raw\nendian: big\nbyte skip: 3\n\n"
    path.write_bytes(header.encode() + b"xyz" + VOLUME.astype(">i2").tobytes())


def _write_as_last_bytes(path: Path) -> None:
    path.with_suffix(".bin").write_bytes(b"anything" + VOLUME.tobytes())
    path.write_text(
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nencoding: raw\nendian: little\nbyte skip: -1\n"
        f"data file: {path.with_suffix('.bin').name}\n"
    )


FILES = [
    ("v.nrrd", _nrrd("raw")),
    ("v.nhdr", _nrrd("raw")),
    ("gzip.nrrd", _nrrd("gzip")),
    ("gzip.nhdr", _nrrd("gzip")),
    ("bzip2.nrrd", _nrrd("bzip2")),
    ("text.nrrd", _nrrd("ascii")),
    ("big.nrrd", _write_big_endian),
    ("last.nhdr", _write_as_last_bytes),
]


@pytest.mark.parametrize(("name", "write"), FILES, ids=[name for name, _ in FILES])
def test_files_open_with_their_axes_z_y_x(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    check_opens_as_written(tmp_path / name)


def test_compressed_files_are_read_by_several_threads(
    read_planes_by_threads: Callable[[ts.TensorStore], np.ndarray], tmp_path: Path
) -> None:
    _nrrd("gzip")(tmp_path / "v.nrrd")
    np.testing.assert_array_equal(read_planes_by_threads(open_volume(tmp_path / "v.nrrd")), VOLUME[:4])


def test_a_region_of_a_huge_file_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "v.nrrd"
    header = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4096 4096 4096\nencoding: raw\n\n"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + (1 << 36))
        file.seek(-1, 2)
        file.write(b"\7")
    assert open_volume(path)[4000, 4095, :2].read().result().tolist() == [0, 0]
    assert open_volume(path)[4095, 4095, 4094:].read().result().tolist() == [0, 7]


def test_metadata_of_a_file_with_space_directions(tmp_path: Path) -> None:
    header = {
        "space": "right-anterior-superior",
        "space directions": np.diag([0.5, 2.0, 3.0]),
        "space origin": np.array([10.0, 20.0, 30.0]),
        "space units": ["mm", "mm", "um"],
    }
    _nrrd("raw", **header)(tmp_path / "v.nrrd")
    metadata = read_metadata(tmp_path / "v.nrrd")
    assert metadata.spacing == (3.0, 2.0, 0.5)
    assert metadata.origin == (30.0, 20.0, 10.0)
    assert metadata.units == ("um", "mm", "mm")
    assert metadata.attributes["space origin"] == [10.0, 20.0, 30.0]


def test_channels_and_times_are_axes(tmp_path: Path) -> None:
    none = [np.nan] * 3
    header = {
        "encoding": "raw",
        "kinds": ["vector", "domain", "domain", "domain", "time"],
        "space": "right-anterior-superior",
        "space directions": [none, [0.5, 0, 0], [0, 2, 0], [0, 0, 3], none],
        "space origin": [10.0, 20.0, 30.0],
        "space units": ["mm", "mm", "um"],
    }
    volume = np.stack([VOLUME, VOLUME + 1])[..., None]
    nrrd.write(str(tmp_path / "v.nrrd"), volume, header, index_order="C")
    np.testing.assert_array_equal(read_volume(tmp_path / "v.nrrd"), volume)
    metadata = read_metadata(tmp_path / "v.nrrd")
    assert metadata.dimension_names == ("t", "z", "y", "x", "c")
    assert metadata.spacing == (None, 3.0, 2.0, 0.5, None)
    assert metadata.origin == (None, 30.0, 20.0, 10.0, None)
    assert metadata.units == (None, "um", "mm", "mm", None)
    assert metadata.attributes["space directions"] == [[0.5, 0, 0], [0, 2, 0], [0, 0, 3]]


def test_metadata_of_a_file_with_spacings(tmp_path: Path) -> None:
    _nrrd("raw", spacings=[1.0, 2.0, 4.0], labels=["x", "y", "z"], units=["m", "s", "K"])(tmp_path / "v.nrrd")
    metadata = read_metadata(tmp_path / "v.nrrd")
    assert (metadata.spacing, metadata.origin) == ((4.0, 2.0, 1.0), None)
    assert (metadata.dimension_names, metadata.units) == (("z", "y", "x"), ("K", "s", "m"))


@pytest.mark.parametrize("name", ["v.nrrd", "v.nhdr"])
@pytest.mark.parametrize("content", [b"", b"no volume at all\n", b"NRRD0004\ntype: short\n\n"])
def test_broken_files_are_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=rf"{name}` is not a readable"):
            read(tmp_path / name)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_truncated_files_are_named(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "v.nrrd"
    _nrrd(encoding)(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"v\.nrrd` is not a readable"):
        open_volume(path)


def test_missing_samples_are_named(tmp_path: Path) -> None:
    path = tmp_path / "v.nhdr"
    _write_as_last_bytes(path)
    samples = path.with_suffix(".bin")
    samples.write_bytes(b"few")
    with pytest.raises(ValueError, match="holds 3 bytes of samples; its header says 420"):
        open_volume(path)
    samples.unlink()
    with pytest.raises(ValueError, match=r"its samples are in `v\.bin`, which is not a file"):
        open_volume(path)


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _nrrd("raw")(tmp_path / "v.nrrd")
    monkeypatch.setitem(sys.modules, "nrrd", None)
    for read in (open_volume, read_metadata):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
            read(tmp_path / "v.nrrd")
