import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tensorstore as ts
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume
from nvc_jax.io.writers import write_volume


def _write(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUME.T, np.eye(4)), path)


def _write_with_time(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUME.T[..., None], np.eye(4)), path)


def _write_big_endian(path: Path) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nibabel.save(nibabel.Nifti1Image(VOLUME.T, np.eye(4), header), path)


FILES = [
    ("v.nii", _write),
    ("v.nii.gz", _write),
    ("time.nii", _write_with_time),
    ("big.nii", _write_big_endian),
]


@pytest.mark.parametrize(("name", "write"), FILES, ids=[name for name, _ in FILES])
def test_files_open_with_their_axes_z_y_x(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    check_opens_as_written(tmp_path / name)


def test_compressed_files_are_read_by_several_threads(
    read_planes_by_threads: Callable[[ts.TensorStore], np.ndarray], tmp_path: Path
) -> None:
    _write(tmp_path / "v.nii.gz")
    np.testing.assert_array_equal(read_planes_by_threads(open_volume(tmp_path / "v.nii.gz")), VOLUME[:4])


def test_scaled_samples_stay_integers_and_keep_their_scale_in_the_metadata(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOLUME.T / 7, np.eye(4))
    image.header.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "v.nii")
    samples = read_volume(tmp_path / "v.nii")
    assert samples.dtype == np.int16
    attributes = read_metadata(tmp_path / "v.nii").attributes
    scaled = samples * attributes["scale_factor"] + attributes["add_offset"]
    np.testing.assert_allclose(scaled, np.asanyarray(nibabel.load(tmp_path / "v.nii").dataobj).T)


def test_metadata_are_read(tmp_path: Path) -> None:
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


def test_a_mirrored_axis_has_no_origin(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOLUME.T, np.diag([-0.5, 2.0, 3.0, 1.0]))
    nibabel.save(image, tmp_path / "v.nii")
    metadata = read_metadata(tmp_path / "v.nii")
    assert (metadata.spacing, metadata.origin, metadata.units) == ((3.0, 2.0, 0.5), None, None)


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("content", [b"", b"no volume at all\n", b"NRRD0004\ntype: short\n\n"])
def test_broken_files_are_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=rf"{name}` is not a readable"):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_truncated_files_are_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    _write(path)
    content = path.read_bytes()
    path.write_bytes(gzip.compress(gzip.decompress(content)[:-1]) if name == "v.nii.gz" else content[:-1])
    with pytest.raises(ValueError, match=rf"{name}` is not a readable"):
        open_volume(path)


def test_unsupported_dtypes_are_named(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUME.T.astype(np.complex64), np.eye(4)), tmp_path / "v.nii")
    with pytest.raises(TypeError, match=r"v.nii` has dtype complex64"):
        open_volume(tmp_path / "v.nii")


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "v.nii")
    monkeypatch.setitem(sys.modules, "nibabel.volumeutils", None)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    for read in (open_volume, read_metadata):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
            read(tmp_path / "v.nii")


ROTATED = np.array([[0, -2, 0, 5], [0.5, 0, 0, -7], [0, 0, 3, 9], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
def test_nibabel_reads_what_is_written(name: str, dtype: str, tmp_path: Path) -> None:
    metadata = VolumeMetadata(
        spacing=(3.0, 2.0, 0.5),
        origin=(9.0, -7.0, 5.0),
        units=("µm", "µm", "µm"),
        attributes={
            "scale_factor": 0.25,
            "add_offset": -3.0,
            "nifti": {"descrip": "a lung", "intent_code": 1002},
        },
    )
    values = VOLUME.astype(dtype)
    write_volume(tmp_path / name, values, metadata=metadata)
    image = nibabel.load(tmp_path / name)
    np.testing.assert_array_equal(image.dataobj.get_unscaled(), values.T, strict=True)
    np.testing.assert_array_equal(image.affine, [[0.5, 0, 0, 5], [0, 2, 0, -7], [0, 0, 3, 9], [0, 0, 0, 1]])
    assert image.header.get_xyzt_units()[0] == "micron"
    assert (image.dataobj.slope, image.dataobj.inter) == (0.25, -3)
    assert image.header["descrip"].item() == b"a lung"
    assert image.header["intent_code"] == 1002
    kept = read_metadata(tmp_path / name)
    assert (kept.spacing, kept.origin, kept.units) == (metadata.spacing, metadata.origin, ("micron",) * 3)
    np.testing.assert_array_equal(read_volume(tmp_path / name), values, strict=True)


def test_display_range_and_times_of_planes_come_back_where_they_hold(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 4, 6, 2), np.int16), np.eye(4))
    fields = {"cal_min": 5, "cal_max": 90, "slice_code": 3, "slice_end": 5, "slice_duration": 0.25}
    for field, value in fields.items():
        image.header[field] = value
    image.header.set_dim_info(slice=2)
    nibabel.save(image, tmp_path / "v.nii")
    volume, metadata = open_volume(tmp_path / "v.nii"), read_metadata(tmp_path / "v.nii")
    assert metadata is not None
    for name, values in (("whole", volume), ("part", volume[:, 1:5])):
        write_volume(tmp_path / f"{name}.nii", values.read().result(), metadata=metadata)
    whole, part = (nibabel.load(tmp_path / f"{name}.nii").header for name in ("whole", "part"))
    assert {field: whole[field].item() for field in fields} == fields
    assert whole.get_dim_info() == (None, None, 2)
    assert (part["cal_min"], part["cal_max"], part["slice_code"], part["slice_end"]) == (5, 90, 0, 0)


def test_shear_and_text_beyond_ascii_come_back(tmp_path: Path) -> None:
    sheared = np.array([[-2, 0.3, 0, 5], [0.1, -1.5, 0.2, -7], [0, 0, 3, 11], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(VOLUME.T, sheared)
    image.header["descrip"] = "µm, été".encode()
    image.set_sform(sheared, 2)
    image.set_qform(np.diag([2, 1.5, 3, 1]), 1)  # another one, as of a scanner
    nibabel.save(image, tmp_path / "v.nii")
    with pytest.warns(UserWarning, match="states two places"):
        write_volume(tmp_path / "w.nii", VOLUME, metadata=read_metadata(tmp_path / "v.nii"))
    written = nibabel.load(tmp_path / "w.nii")
    np.testing.assert_allclose(written.affine, sheared, rtol=1e-6)
    assert (written.header["sform_code"], written.header["qform_code"]) == (2, 0)
    assert written.header["descrip"].item().decode() == "µm, été"


def test_of_two_affines_the_second_is_not_given_the_place_of_the_first(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOLUME.T, np.diag([2, 3, 4, 1]))
    image.set_sform(np.diag([2, 3, 4, 1]), 4)
    image.set_qform(np.diag([1, 1, 1, 1]), 1)
    nibabel.save(image, tmp_path / "v.nii")
    with pytest.warns(UserWarning, match=r"that of its qform \(code 1\) is not: keep the source, too"):
        write_volume(tmp_path / "w.nii", VOLUME, metadata=read_metadata(tmp_path / "v.nii"))
    written = nibabel.load(tmp_path / "w.nii")
    np.testing.assert_array_equal(written.affine, np.diag([2, 3, 4, 1]))
    assert (written.header["sform_code"], written.header["qform_code"]) == (4, 0)


@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (3, 0), (0, 0)])
def test_affines_of_any_kind_come_back(codes: tuple[int, int], tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOLUME.T, ROTATED)
    image.set_sform(ROTATED, codes[0])
    image.set_qform(ROTATED, codes[1])
    nibabel.save(image, tmp_path / "v.nii")
    write_volume(tmp_path / "w.nii", VOLUME, metadata=read_metadata(tmp_path / "v.nii"))
    written, read = nibabel.load(tmp_path / "w.nii"), nibabel.load(tmp_path / "v.nii")
    np.testing.assert_allclose(written.affine, read.affine, atol=1e-6)
    if any(codes):
        assert [written.header[name] for name in ("sform_code", "qform_code")] == list(codes)
    assert written.header.get_zooms() == read.header.get_zooms()


def test_a_volume_without_coordinates_has_none(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.nii", VOLUME)
    header = nibabel.load(tmp_path / "v.nii").header
    assert (header["sform_code"], header["qform_code"], header.get_zooms()) == (0, 0, (1, 1, 1))


def test_large_sides_are_written_as_nifti_2(tmp_path: Path) -> None:
    values = np.arange(40000, dtype=np.int16).reshape(1, 1, -1)
    write_volume(tmp_path / "v.nii", values)
    assert isinstance(nibabel.load(tmp_path / "v.nii"), nibabel.Nifti2Image)
    np.testing.assert_array_equal(read_volume(tmp_path / "v.nii"), values)


def test_dtypes_that_it_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="NIfTI cannot hold float16; it holds uint8, "):
        write_volume(tmp_path / "v.nii", VOLUME.astype(np.float16))
    assert not list(tmp_path.iterdir())


SERIES = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.int16).reshape(2, 3, 4, 5, 6)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("shape", "kept_shape", "names"),
    [
        ((5, 6), (5, 6), ("y", "x")),
        ((3, 4, 5, 6), (3, 4, 5, 6), ("t", "z", "y", "x")),
        ((2, 3, 4, 5, 6), (2, 3, 4, 5, 6), ("c", "t", "z", "y", "x")),
        ((2, 1, 4, 5, 6), (2, 4, 5, 6), ("c", "z", "y", "x")),  # a vector at each voxel
        ((1, 1, 4, 5, 6), (4, 5, 6), ("z", "y", "x")),
    ],
)
def test_series_and_vectors_have_their_axes(
    shape: tuple[int, ...], kept_shape: tuple[int, ...], names: tuple[str, ...], suffix: str, tmp_path: Path
) -> None:
    volume = SERIES.reshape(-1)[: np.prod(shape)].reshape(shape)
    image = nibabel.Nifti1Image(volume.T, np.diag([0.5, 2, 3, 1]))
    image.header.set_xyzt_units("mm", "sec")
    if len(shape) > 3:
        image.header["pixdim"][4] = 1.5
    nibabel.save(image, tmp_path / f"v{suffix}")
    np.testing.assert_array_equal(read_volume(tmp_path / f"v{suffix}"), volume.reshape(kept_shape))
    metadata = read_metadata(tmp_path / f"v{suffix}")
    assert metadata.dimension_names == names
    sides = {"x": 0.5, "y": 2.0, "z": 3.0, "t": 1.5}
    assert metadata.spacing == tuple(sides.get(name) for name in names)
    assert metadata.units == tuple({"t": "sec", "c": None}.get(name, "mm") for name in names)
