import gzip
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import nibabel
import nrrd
import numpy as np
import pytest
import tifffile

from nvc_jax.io.volumes import open_volume, read_metadata, read_volume

VOLUME = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)


def _nifti(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUME.T, np.eye(4)), path)


def _nifti_with_time(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUME.T[..., None], np.eye(4)), path)


def _big_endian_nifti(path: Path) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nibabel.save(nibabel.Nifti1Image(VOLUME.T, np.eye(4), header), path)


def _nrrd(encoding: str, **header: Any) -> Callable[[Path], None]:
    return lambda path: nrrd.write(str(path), VOLUME, {"encoding": encoding, **header}, index_order="C")


def _nrrd_with_channel(path: Path) -> None:
    header = {"encoding": "raw", "kinds": ["vector", "domain", "domain", "domain"]}
    nrrd.write(str(path), VOLUME[..., None], header, index_order="C")


def _big_endian_nrrd(path: Path) -> None:
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nencoding: raw\nendian: big\nbyte skip: 3\n\n"
    path.write_bytes(header.encode() + b"xyz" + VOLUME.astype(">i2").tobytes())


def _last_bytes_nrrd(path: Path) -> None:
    path.with_suffix(".bin").write_bytes(b"anything" + VOLUME.tobytes())
    path.write_text(
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nencoding: raw\nendian: little\nbyte skip: -1\n"
        f"data file: {path.with_suffix('.bin').name}\n"
    )


def _tiff(**options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, VOLUME, photometric="minisblack", **options)


def _hdf5(
    dtype: str = "<i2", shape: tuple[int, ...] = VOLUME.shape, **options: Any
) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("a/volume", data=VOLUME.reshape(shape).astype(dtype), **options)
            file["line"] = np.zeros(3)

    return write


FILES = [
    ("v.nii", _nifti),
    ("v.nii.gz", _nifti),
    ("time.nii", _nifti_with_time),
    ("big.nii", _big_endian_nifti),
    ("v.nrrd", _nrrd("raw")),
    ("v.nhdr", _nrrd("raw")),
    ("gzip.nrrd", _nrrd("gzip")),
    ("gzip.nhdr", _nrrd("gzip")),
    ("bzip2.nrrd", _nrrd("bzip2")),
    ("text.nrrd", _nrrd("ascii")),
    ("big.nrrd", _big_endian_nrrd),
    ("last.nhdr", _last_bytes_nrrd),
    ("channel.nrrd", _nrrd_with_channel),
    ("v.tif", _tiff()),
    ("v.tiff", _tiff(compression="zlib")),
    ("imagej.tif", _tiff(imagej=True, metadata={"axes": "ZYX"})),
    ("v.ome.tif", _tiff(metadata={"axes": "ZYX"})),
    ("packed.ome.tif", _tiff(metadata={"axes": "ZYX"}, compression="zlib")),
    ("pages.tif", _tiff(compression="zlib", byteorder=">", metadata=None)),
    ("big.tif", _tiff(byteorder=">")),
    ("tiles.tif", _tiff(compression="zlib", tile=(16, 16))),
    ("bricks.tif", _tiff(compression="zlib", volumetric=True, tile=(2, 16, 16))),
    ("v.h5", _hdf5()),
    ("v.nc", _hdf5(chunks=(2, 3, 4), compression="gzip")),
    ("big.hdf5", _hdf5(">i2")),
    ("rank5.h5", _hdf5(shape=(1, 5, 6, 7, 1), chunks=(1, 2, 3, 4, 1))),
]


@pytest.mark.parametrize(("name", "write"), FILES, ids=[name for name, _ in FILES])
def test_files_open_with_their_axes_z_y_x(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    store = open_volume(tmp_path / name)
    assert store.dtype.numpy_dtype == np.int16
    np.testing.assert_array_equal(store.read().result(), VOLUME)
    np.testing.assert_array_equal(store[1:4, 2, 3:].read().result(), VOLUME[1:4, 2, 3:])


@pytest.mark.parametrize("name", ["v.nii.gz", "v.tiff", "v.nc", "gzip.nrrd"])
def test_files_are_read_by_several_threads(name: str, tmp_path: Path) -> None:
    dict(FILES)[name](tmp_path / name)
    store = open_volume(tmp_path / name)
    together = threading.Barrier(4)

    def read(z: int) -> np.ndarray:
        together.wait()
        return store[z].read().result()

    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(np.stack(list(pool.map(read, range(4)))), VOLUME[:4])


def test_a_tiff_of_one_imagej_slice_is_a_volume(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "v.tif", VOLUME[:1], imagej=True)
    np.testing.assert_array_equal(read_volume(tmp_path / "v.tif"), VOLUME[:1])


def test_a_huge_nrrd_is_read_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "v.nrrd"
    header = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4096 4096 4096\nencoding: raw\n\n"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + (1 << 36))
        file.seek(-1, 2)
        file.write(b"\7")
    assert open_volume(path)[4000, 4095, :2].read().result().tolist() == [0, 0]
    assert open_volume(path)[4095, 4095, 4094:].read().result().tolist() == [0, 7]


def test_nifti_is_scaled_as_nibabel_scales(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOLUME.T / 7, np.eye(4))
    image.header.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "v.nii")
    expected = np.asanyarray(nibabel.load(tmp_path / "v.nii").dataobj).T
    assert expected.dtype == np.float64
    np.testing.assert_array_equal(read_volume(tmp_path / "v.nii"), expected, strict=True)


def test_nifti_metadata(tmp_path: Path) -> None:
    affine = np.diag([0.5, 2.0, 3.0, 1.0])
    affine[:3, 3] = [10, 20, 30]
    image = nibabel.Nifti1Image(VOLUME.T, affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "v.nii.gz")
    metadata = read_metadata(tmp_path / "v.nii.gz")
    assert metadata.dimension_names == ("z", "y", "x")
    assert metadata.spacing == (3.0, 2.0, 0.5)
    assert metadata.origin == (30.0, 20.0, 10.0)
    assert metadata.units == ("mm", "mm", "mm")
    assert metadata.attributes["affine"] == affine.tolist()
    image = nibabel.Nifti1Image(VOLUME.T, np.diag([-0.5, 2.0, 3.0, 1.0]))
    nibabel.save(image, tmp_path / "v.nii")
    metadata = read_metadata(tmp_path / "v.nii")
    assert (metadata.spacing, metadata.origin, metadata.units) == ((3.0, 2.0, 0.5), None, None)


def test_nrrd_metadata(tmp_path: Path) -> None:
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
    _nrrd("raw", spacings=[1.0, 2.0, 4.0], labels=["x", "y", "z"], units=["m", "s", "K"])(tmp_path / "v.nrrd")
    metadata = read_metadata(tmp_path / "v.nrrd")
    assert (metadata.spacing, metadata.origin) == ((4.0, 2.0, 1.0), None)
    assert (metadata.dimension_names, metadata.units) == (("z", "y", "x"), ("K", "s", "m"))


def test_tiff_metadata(tmp_path: Path) -> None:
    axes = {"axes": "ZYX", "spacing": 3.0, "unit": "um"}
    _tiff(imagej=True, resolution=(2, 4), metadata=axes)(tmp_path / "imagej.tif")
    metadata = read_metadata(tmp_path / "imagej.tif")
    assert (metadata.spacing, metadata.units) == ((3.0, 0.25, 0.5), ("um", "um", "um"))
    assert metadata.attributes["ImageJ"]["slices"] == 5
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "nm"}
    _tiff(metadata={"axes": "ZYX", **sizes})(tmp_path / "v.ome.tif")
    metadata = read_metadata(tmp_path / "v.ome.tif")
    assert (metadata.spacing, metadata.units) == ((2.0, 0.25, 0.5), ("nm", "µm", "µm"))
    _tiff(metadata=None, description="a rock")(tmp_path / "v.tif")
    assert read_metadata(tmp_path / "v.tif").attributes == {"ImageDescription": "a rock"}


def test_hdf5_metadata(tmp_path: Path) -> None:
    path = tmp_path / "v.nc"
    with h5py.File(path, "w") as file:
        volume = file.create_dataset("t", data=VOLUME)
        for axis, (name, line) in enumerate({"depth": 2.0, "lat": 0.5, "lon": 0.25}.items()):
            file[name] = 10 + line * np.arange(VOLUME.shape[axis])
            file[name].make_scale(name)
            file[name].attrs["units"] = f"{name} units"
            volume.dims[axis].attach_scale(file[name])
        volume.attrs.update({"_FillValue": np.float32("nan"), "name": np.bytes_(b"T"), "steps": np.arange(3)})
    metadata = read_metadata(path)
    assert metadata.dimension_names == ("depth", "lat", "lon")
    assert (metadata.spacing, metadata.origin) == ((2.0, 0.5, 0.25), (10.0, 10.0, 10.0))
    assert metadata.units == ("depth units", "lat units", "lon units")
    assert metadata.attributes == {"_FillValue": "NaN", "name": "T", "steps": [0, 1, 2]}
    with h5py.File(path, "w") as file:
        file.create_dataset("t", data=VOLUME).attrs["element_size_um"] = [3.0, 2.0, 1.0]
    assert read_metadata(path).spacing == (3.0, 2.0, 1.0)
    assert read_metadata(path).units == ("um", "um", "um")


def test_a_dataset_of_several_must_be_named(tmp_path: Path) -> None:
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file["a/one"], file["two"], file["line"] = VOLUME, VOLUME + 1, VOLUME[0, 0]
    with pytest.raises(ValueError, match=r"\['/a/one', '/two'\]; name one as `.*v\.h5::/dataset`"):
        open_volume(path)
    np.testing.assert_array_equal(read_volume(f"{path}::/two"), VOLUME + 1)
    np.testing.assert_array_equal(read_volume(f"{path}::a/one"), VOLUME)
    for missing in ("/three", "/a"):
        with pytest.raises(ValueError, match=f"no dataset `{missing}`"):
            open_volume(f"{path}::{missing}")
    with pytest.raises(ValueError, match="three axes"):
        open_volume(f"{path}::/line")
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5` does not exist"):
        open_volume(tmp_path / "nothing.h5::/two")


BROKEN = ["v.nii", "v.nii.gz", "v.nrrd", "v.nhdr", "v.tif", "v.h5", "v.nc"]


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("content", [b"", b"no volume at all\n", b"NRRD0004\ntype: short\n\n"])
def test_broken_files_are_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}` is not a readable"):
        open_volume(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}` is not a readable"):
        read_metadata(tmp_path / name)


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "v.nrrd", "v.tif", "gzip.nrrd"])
def test_truncated_files_are_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    dict(FILES)[name](path)
    content = path.read_bytes()
    if name == "v.nii.gz":
        content = gzip.compress(gzip.decompress(content)[:-1])
    else:
        content = content[:-1] if name != "v.tif" else content[:300]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}` is not a readable"):
        open_volume(path)


def test_unsupported_dtypes_are_named(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUME.T.astype(np.complex64), np.eye(4)), tmp_path / "v.nii")
    _hdf5("<i8")(tmp_path / "v.h5")
    nrrd.write(str(tmp_path / "v.nrrd"), VOLUME.astype(np.int64))
    tifffile.imwrite(tmp_path / "v.tif", VOLUME > 3, photometric="minisblack")
    for name, dtype in {"v.nii": "complex64", "v.h5": "int64", "v.nrrd": "int64", "v.tif": "bool"}.items():
        with pytest.raises(TypeError, match=rf"{name}` has dtype {dtype}"):
            open_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "module"),
    [("v.nii", "nibabel"), ("v.nrrd", "nrrd"), ("v.tif", "tifffile"), ("v.h5", "h5py")],
)
def test_a_missing_library_names_the_extra(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dict(FILES)[name](tmp_path / name)
    if module == "nibabel":
        monkeypatch.setitem(sys.modules, "nibabel.volumeutils", None)
    monkeypatch.setitem(sys.modules, module, None)
    for read in (open_volume, read_metadata):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
            read(tmp_path / name)
