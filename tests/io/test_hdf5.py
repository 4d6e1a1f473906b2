import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorstore as ts
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.volumes import open_volume, read_metadata, read_volume


def _hdf5(
    dtype: str = "<i2", shape: tuple[int, ...] = VOLUME.shape, **options: Any
) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("a/volume", data=VOLUME.reshape(shape).astype(dtype), **options)
            file["line"] = np.zeros(3)

    return write


FILES = [
    ("v.h5", _hdf5()),
    ("v.nc", _hdf5(chunks=(2, 3, 4), compression="gzip")),
    ("big.hdf5", _hdf5(">i2")),
]


@pytest.mark.parametrize(("name", "write"), FILES, ids=[name for name, _ in FILES])
def test_files_open_with_their_axes_z_y_x(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    check_opens_as_written(tmp_path / name)


@pytest.mark.parametrize("shape", [(10, 21), (5, 1, 6, 7), (1, 5, 3, 2, 7)])
def test_datasets_of_any_rank_open(shape: tuple[int, ...], tmp_path: Path) -> None:
    chunks = tuple(min(side, 3) for side in shape)
    _hdf5(shape=shape, chunks=chunks)(tmp_path / "v.h5")
    np.testing.assert_array_equal(read_volume(tmp_path / "v.h5"), VOLUME.reshape(shape))


def test_chunked_files_are_read_by_several_threads(
    read_planes_by_threads: Callable[[ts.TensorStore], np.ndarray], tmp_path: Path
) -> None:
    _hdf5(chunks=(2, 3, 4), compression="gzip")(tmp_path / "v.nc")
    np.testing.assert_array_equal(read_planes_by_threads(open_volume(tmp_path / "v.nc")), VOLUME[:4])


def test_urls_of_files_are_read(tmp_path: Path) -> None:
    _hdf5()(tmp_path / "v.h5")
    np.testing.assert_array_equal(read_volume(f"file://{tmp_path}/v.h5"), VOLUME)


def test_metadata_of_dimension_scales_are_read(tmp_path: Path) -> None:
    path = tmp_path / "v.nc"
    with h5py.File(path, "w") as file:
        volume = file.create_dataset("t", data=VOLUME)
        for axis, (name, spacing) in enumerate({"depth": 2.0, "lat": 0.5, "lon": 0.25}.items()):
            file[name] = 10 + spacing * np.arange(VOLUME.shape[axis])
            file[name].make_scale(name)
            file[name].attrs["units"] = f"{name} units"
            volume.dims[axis].attach_scale(file[name])
        volume.attrs.update({"_FillValue": np.float32("nan"), "name": np.bytes_(b"T"), "steps": np.arange(3)})
    metadata = read_metadata(path)
    assert metadata.dimension_names == ("depth", "lat", "lon")
    assert (metadata.spacing, metadata.origin) == ((2.0, 0.5, 0.25), (10.0, 10.0, 10.0))
    assert metadata.units == ("depth units", "lat units", "lon units")
    assert metadata.attributes == {"_FillValue": "NaN", "name": "T", "steps": [0, 1, 2]}


def test_the_element_size_is_the_spacing_in_micrometres(tmp_path: Path) -> None:
    path = tmp_path / "v.nc"
    with h5py.File(path, "w") as file:
        file.create_dataset("t", data=VOLUME).attrs["element_size_um"] = [3.0, 2.0, 1.0]
    assert read_metadata(path).spacing == (3.0, 2.0, 1.0)
    assert read_metadata(path).units == ("um", "um", "um")


def test_a_dataset_of_several_must_be_named(tmp_path: Path) -> None:
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file["a/one"], file["two"], file["line"] = VOLUME, VOLUME + 1, VOLUME[0, 0]
    with pytest.raises(ValueError, match=r"datasets /a/one, /two; name one as `.*v\.h5::/a/one`"):
        open_volume(path)
    np.testing.assert_array_equal(read_volume(f"{path}::/two"), VOLUME + 1)
    np.testing.assert_array_equal(read_volume(f"{path}::a/one"), VOLUME)
    for missing in ("/three", "/a"):
        with pytest.raises(ValueError, match=f"no dataset `{missing}`"):
            open_volume(f"{path}::{missing}")
    with pytest.raises(ValueError, match="2 to 5 axes"):
        open_volume(f"{path}::/line")
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5` does not exist"):
        open_volume(tmp_path / "nothing.h5::/two")


@pytest.mark.parametrize("name", ["v.h5", "v.nc"])
@pytest.mark.parametrize("content", [b"", b"no volume at all\n", b"NRRD0004\ntype: short\n\n"])
def test_broken_files_are_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=rf"{name}` is not a readable"):
            read(tmp_path / name)


def test_unsupported_dtypes_are_named(tmp_path: Path) -> None:
    _hdf5("<c8")(tmp_path / "v.h5")
    with pytest.raises(TypeError, match=r"v.h5` has dtype complex64"):
        open_volume(tmp_path / "v.h5")


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hdf5()(tmp_path / "v.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    for read in (open_volume, read_metadata):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
            read(tmp_path / "v.h5")


def test_a_fill_value_that_somebody_chose_is_declared(tmp_path: Path) -> None:
    values = {"chosen": np.float32(-5), "zero": np.int16(0), "bytes": np.uint8(255)}
    with h5py.File(tmp_path / "v.h5", "w") as file:
        for name, value in values.items():
            file.create_dataset(name, (2, 3, 4), value.dtype, fillvalue=value)
        file.create_dataset("default", (2, 3, 4), "f4")
        attributed = file.create_dataset("attributed", (2, 3, 4), "f4", fillvalue=-5)
        attributed.attrs["_FillValue"] = np.float32([-6])
    for name, expected in {
        "chosen": (-5.0,),
        "zero": (),
        "bytes": (),
        "default": (),
        "attributed": (),
    }.items():
        metadata = read_metadata(f"{tmp_path}/v.h5::/{name}")
        assert metadata.missing_values == expected
    assert metadata.attributes == {"_FillValue": -6.0}


def test_attributes_without_a_form_in_json_are_named_and_empty_ones_kept(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        dataset = file.create_dataset("volume", data=VOLUME)
        dataset.attrs.update(
            {"phase": 1 + 2j, "empty": h5py.Empty("f4"), "text": h5py.Empty("S1"), "gain": 2}
        )
        dataset.attrs["place"] = dataset.ref
    with pytest.warns(UserWarning, match="has the attributes `phase`, `place` of types that are not kept"):
        metadata = read_metadata(tmp_path / "v.h5")
    assert metadata.attributes == {"empty": [], "text": "", "gain": 2}
