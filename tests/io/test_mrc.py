import sys
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume
from nvc_jax.io.writers import write_volume


def _write(path: Path, values: np.ndarray = VOLUME, **fields: Any) -> None:
    with mrcfile.new(path, values) as file:
        file.set_volume()
        file.voxel_size = (0.5, 2.0, 4.0)
        for name, value in fields.items():
            file.header[name] = value


@pytest.mark.parametrize("suffix", [".mrc", ".map", ".rec", ".st"])
def test_files_open_with_their_axes_z_y_x(suffix: str, tmp_path: Path) -> None:
    _write(tmp_path / f"v{suffix}")
    check_opens_as_written(tmp_path / f"v{suffix}")


def test_big_endian_files_with_an_extended_header_open(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "v.mrc") as file:
        file.set_extended_header(np.zeros(96, "V1"))
        file.set_data(VOLUME.astype(">i2"))
    check_opens_as_written(tmp_path / "v.mrc")


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 1, 2), (2, 1, 3)])
def test_axes_in_another_order_are_arranged(axes: tuple[int, int, int], tmp_path: Path) -> None:
    """Columns, rows and sections of CCP4 maps may be any axes of the cell."""
    stored = VOLUME.transpose([3 - axis for axis in reversed(axes)])
    fields = dict(zip(("mapc", "mapr", "maps"), axes, strict=True))
    starts = {name: 10 * axis for name, axis in zip(("nxstart", "nystart", "nzstart"), axes, strict=True)}
    _write(tmp_path / "v.map", stored, **fields, **starts, mx=7, my=6, mz=5)
    with mrcfile.open(tmp_path / "v.map", "r+") as file:
        file.header.cella = (3.5, 12.0, 20.0)
    check_opens_as_written(tmp_path / "v.map")
    metadata = read_metadata(tmp_path / "v.map")
    assert metadata.spacing == (4.0, 2.0, 0.5)
    assert metadata.origin == (120.0, 40.0, 5.0)


def test_bytes_of_imod_are_unsigned_where_it_says_so(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) + 120
    for flags, dtype in ((0, np.uint8), (1, np.int8)):
        _write(tmp_path / "v.mrc", values.view(np.int8))
        content = bytearray((tmp_path / "v.mrc").read_bytes())
        content[152:160] = np.array([1146047817, flags], "<i4").tobytes()
        (tmp_path / "v.mrc").write_bytes(content)
        np.testing.assert_array_equal(read_volume(tmp_path / "v.mrc"), values.view(dtype), strict=True)
        (tmp_path / "v.mrc").unlink()


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float16", "float32"])
def test_mrcfile_reads_what_is_written(dtype: str, tmp_path: Path) -> None:
    values = (VOLUME % 100).astype(dtype)
    metadata = VolumeMetadata(
        None, (3.0, 2.0, 0.5), (9.0, -7.0, 5.0), ("nm", "nm", "nm"), {"mrc": {"labels": ["by a microscope"]}}
    )
    write_volume(tmp_path / "v.mrc", values, metadata=metadata)
    with mrcfile.open(tmp_path / "v.mrc") as file:
        np.testing.assert_array_equal(file.data, values, strict=True)
        assert file.is_volume()
        assert file.voxel_size.tolist() == (5, 20, 30)
        assert file.header.origin.tolist() == (50, -70, 90)
        assert file.get_labels() == ["by a microscope", "nvc_jax"]
    assert mrcfile.validate(tmp_path / "v.mrc")
    kept = read_metadata(tmp_path / "v.mrc")
    assert (kept.spacing, kept.origin, kept.units) == ((30, 20, 5), (90, -70, 50), ("angstrom",) * 3)
    write_volume(tmp_path / "w.mrc", values, metadata=kept)
    assert read_metadata(tmp_path / "w.mrc") == kept


def test_dtypes_that_it_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="MRC cannot hold uint8; it holds int8, "):
        write_volume(tmp_path / "v.mrc", VOLUME.astype(np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_region_of_a_huge_file_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "v.mrc"
    _write(path, np.zeros((1, 1, 1), np.int8), nx=4096, ny=4096, nz=4096)
    with path.open("r+b") as file:
        file.truncate(1024 + (1 << 36))
        file.seek(-1, 2)
        file.write(b"\7")
    assert open_volume(path)[4095, 4095, 4094:].read().result().tolist() == [0, 7]


@pytest.mark.parametrize("content", [b"", b"no volume at all\n" * 100])
def test_broken_files_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.mrc").write_bytes(content)
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=r"v\.mrc` is not a readable MRC"):
            read(tmp_path / "v.mrc")


def test_truncated_files_and_wrong_axes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "v.mrc"
    _write(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="holds 1443 bytes; its header says 1444"):
        open_volume(path)
    path.unlink()
    _write(path, mapc=2)
    with pytest.raises(ValueError, match=r"are the axes \[2, 2, 3\]"):
        open_volume(path)


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "v.mrc")
    monkeypatch.setitem(sys.modules, "mrcfile", None)
    for read in (open_volume, read_metadata):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
            read(tmp_path / "v.mrc")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
        write_volume(tmp_path / "w.mrc", VOLUME)
