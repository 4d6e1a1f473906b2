"""Arrays of two, four and five axes in files of every format that is written, and back."""

import dataclasses
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile

from nvc_jax.io.formats import FORMATS
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import read_metadata, read_volume
from nvc_jax.io.writers import check_writable, write_volume
from nvc_jax.io.written_axes import choose_written_axes

SERIES = VolumeMetadata(
    ("t", "c", "z", "y", "x"),
    (2.0, None, 3.0, 0.5, 0.25),
    (10.0, None, 1.0, 2.0, -4.0),
    ("s", None, "mm", "mm", "mm"),
)


def part_of(axes: list[int]) -> VolumeMetadata:
    """Metadata of some axes of ``SERIES``."""

    def select(values: tuple) -> tuple | None:
        chosen = tuple(values[axis] for axis in axes)
        return None if all(value is None for value in chosen) else chosen

    names = ("dimension_names", "spacing", "origin", "units")
    return dataclasses.replace(SERIES, **{name: select(getattr(SERIES, name)) for name in names})


ARRAYS = {
    "plane": ((5, 7), part_of([3, 4])),
    "times": ((2, 4, 5, 7), part_of([0, 2, 3, 4])),
    "channels": ((2, 4, 5, 7), part_of([1, 2, 3, 4])),
    "series": ((2, 3, 4, 5, 7), SERIES),
    "colours": ((4, 5, 7, 3), part_of([2, 3, 4, 1])),
}
PLAIN = [".npy", ".npz", ".raw"]
FULL = [".zarr", ".nrrd", ".h5", ".nc"]


def array_of(name: str, dtype: str = "float32") -> np.ndarray:
    shape, _ = ARRAYS[name]
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def write(name: str, suffix: str, directory: Path, dtype: str = "float32") -> Path:
    """Write an array with its metadata."""
    array = array_of(name, dtype)
    sides = "x".join(map(str, array.shape[::-1]))
    path = directory / (f"v_{sides}_{dtype}.raw" if suffix == ".raw" else f"v{suffix}")
    write_volume(path, array, metadata=ARRAYS[name][1])
    np.testing.assert_array_equal(read_volume(path), array, strict=True)
    return path


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("suffix", PLAIN)
def test_formats_without_metadata_keep_the_axes(name: str, suffix: str, tmp_path: Path) -> None:
    write(name, suffix, tmp_path)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("suffix", FULL)
def test_formats_with_metadata_keep_the_axes_and_their_coordinates(
    name: str, suffix: str, tmp_path: Path
) -> None:
    kept, expected = read_metadata(write(name, suffix, tmp_path)), ARRAYS[name][1]
    assert kept.dimension_names == expected.dimension_names
    if suffix == ".nrrd":  # which has no place for the spacing, origin and unit of what is not space
        is_space = [str(axis) in "zyx" for axis in expected.dimension_names or ()]

        def of_space(values: tuple | None) -> tuple:
            return tuple(v if known else None for v, known in zip(values or (), is_space, strict=True))

        parts = {field: of_space(getattr(expected, field)) for field in ("spacing", "origin", "units")}
        expected = dataclasses.replace(expected, **parts)
    assert (kept.spacing, kept.origin, kept.units) == (expected.spacing, expected.origin, expected.units)


@pytest.mark.parametrize(
    ("name", "order"),
    [("plane", "yx"), ("times", "tzyx"), ("channels", "czyx"), ("colours", "czyx"), ("series", "ctzyx")],
)
def test_nifti_has_its_own_order_of_axes(name: str, order: str, tmp_path: Path) -> None:
    array, names = array_of(name), ARRAYS[name][1].dimension_names or ()
    write_volume(tmp_path / "v.nii", array, metadata=ARRAYS[name][1])
    moved = array.transpose([names.index(axis) for axis in order])
    np.testing.assert_array_equal(read_volume(tmp_path / "v.nii"), moved)
    expected = part_of([(SERIES.dimension_names or ()).index(axis) for axis in order])
    kept = read_metadata(tmp_path / "v.nii")
    assert (kept.dimension_names, kept.spacing) == (expected.dimension_names, expected.spacing)
    if name != "plane":
        assert kept.origin == expected.origin
        assert kept.units == tuple({"s": "sec"}.get(str(u), u) for u in expected.units or ())
    shape = moved.shape[::-1]
    if "t" not in order and "c" in order:
        shape = (*shape[:3], 1, shape[3])
    assert nibabel.load(tmp_path / "v.nii").shape == shape


@pytest.mark.parametrize("name", ["plane", "times", "channels", "series"])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_tiff_is_of_imagej_or_ome(name: str, dtype: str, tmp_path: Path) -> None:
    path, expected = write(name, ".tif", tmp_path, dtype), ARRAYS[name][1]
    kept = read_metadata(path)
    assert (kept.dimension_names, kept.spacing) == (expected.dimension_names, expected.spacing)
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej if dtype == "float32" and name in ("plane", "times") else file.is_ome
        letters = "".join(expected.dimension_names or ()).upper()
        assert file.series[0].axes == letters


def test_colours_are_samples_of_tiff(tmp_path: Path) -> None:
    write("colours", ".tif", tmp_path, "uint8")
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        assert file.series[0].axes == "ZYXS"
        assert file.pages.first.photometric.name == "RGB"


@pytest.mark.parametrize("suffix", [".mrc", ".mha", ".mgz"])
def test_formats_of_three_axes_take_one_step_and_refuse_more(suffix: str, tmp_path: Path) -> None:
    volume = array_of("series")[:1, 1:2]
    units = (None, None, *("angstrom" if suffix == ".mrc" else "mm",) * 3)
    write_volume(tmp_path / f"v{suffix}", volume, metadata=dataclasses.replace(SERIES, units=units))
    np.testing.assert_array_equal(read_volume(tmp_path / f"v{suffix}"), volume[0, 0])
    assert read_metadata(tmp_path / f"v{suffix}").spacing == (3.0, 0.5, 0.25)
    write_volume(tmp_path / f"plane{suffix}", array_of("plane"))
    np.testing.assert_array_equal(read_volume(tmp_path / f"plane{suffix}"), array_of("plane")[None])
    with pytest.raises(ValueError, match=r"has [34] axes, .* such as the region 0:1,.* such as \.npy"):
        check_writable(tmp_path / f"w{suffix}", (2, 3, 4, 5, 7), np.dtype(np.float32))


def test_mgh_holds_series(tmp_path: Path) -> None:
    kept = read_metadata(write("times", ".mgh", tmp_path))
    assert kept.dimension_names == ("t", "z", "y", "x")
    assert kept.spacing == (None, 3.0, 0.5, 0.25)


def test_axes_of_length_1_fit_a_format() -> None:
    mrc = next(form for form in FORMATS if ".mrc" in form.suffixes)
    axes = choose_written_axes(Path("v.mrc"), (4, 1, 5, 7), ("z", "c", "y", "x"), mrc)
    assert (axes.order, axes.file_shape) == ((0, 2, 3), (4, 5, 7))
