from collections.abc import Callable
from pathlib import Path
from typing import Any

import metaimageio
import numpy as np
import pytest
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.geometry import ras_affine
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume
from nvc_jax.io.writers import write_volume

ROTATION = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])


def _metaimage(**tags: Any) -> Callable[[Path], None]:
    return lambda path: metaimageio.write(path, VOLUME.copy(), **tags) and None


def _write_slices(files: str) -> Callable[[Path], None]:
    """Write planes to files of their own, which the header names by a list or a pattern."""

    def write(path: Path) -> None:
        for z, plane in enumerate(VOLUME):
            (path.parent / f"p{z + 1:02}.raw").write_bytes(plane.tobytes())
        header = "NDims = 3\nDimSize = 7 6 5\nElementType = MET_SHORT\nElementDataFile = "
        path.write_text(header + files)

    return write


FILES = [
    ("v.mha", _metaimage()),
    ("v.mhd", _metaimage()),
    ("packed.mha", _metaimage(CompressedData=True)),
    ("packed.mhd", _metaimage(CompressedData=True)),
    ("big.mha", _metaimage(BinaryDataByteOrderMSB=True)),
    ("list.mhd", _write_slices("LIST\n" + "".join(f"p{z:02}.raw\n" for z in range(1, 6)))),
    ("pattern.mhd", _write_slices("p%02d.raw 1 5 1\n")),
]


@pytest.mark.parametrize(("name", "write"), FILES, ids=[name for name, _ in FILES])
def test_files_open_with_their_axes_z_y_x(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    check_opens_as_written(tmp_path / name)
    assert read_metadata(tmp_path / name).spacing in (None, (1, 1, 1))


def test_positions_are_read(tmp_path: Path) -> None:
    tags = {"ElementSpacing": [0.5, 2, 3], "Offset": [5, -7, 9], "Modality": "MET_MOD_CT"}
    _metaimage(**tags)(tmp_path / "v.mha")
    metadata = read_metadata(tmp_path / "v.mha")
    assert (metadata.spacing, metadata.origin, metadata.units) == ((3, 2, 0.5), (9, -7, 5), None)
    assert metadata.attributes["metaimage"]["Modality"] == "MET_MOD_CT"
    _metaimage(**tags, TransformMatrix=ROTATION)(tmp_path / "v.mha")
    metadata = read_metadata(tmp_path / "v.mha")
    assert (metadata.spacing, metadata.origin) == ((3, 2, 0.5), None)
    expected = [[0, 2, 0, -5], [-0.5, 0, 0, 7], [0, 0, 3, 9], [0, 0, 0, 1]]
    np.testing.assert_array_equal(ras_affine(metadata), expected)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
)
def test_metaimageio_reads_what_is_written(dtype: str, tmp_path: Path) -> None:
    values = VOLUME.astype(dtype)
    tags = {
        "ElementSpacing": [0.5, 2, 3],
        "Offset": [5, -7, 9],
        "TransformMatrix": ROTATION,
        "Comment": "a lung",
    }
    _metaimage(**tags)(tmp_path / "v.mha")
    kept = read_metadata(tmp_path / "v.mha")
    write_volume(tmp_path / "w.mha", values, metadata=kept)
    image, written = metaimageio.read(tmp_path / "w.mha")
    np.testing.assert_array_equal(image, values, strict=True)
    for tag, value in tags.items():
        np.testing.assert_array_equal(written[tag], value)
    assert ras_affine(read_metadata(tmp_path / "w.mha")) == pytest.approx(ras_affine(kept))
    np.testing.assert_array_equal(read_volume(tmp_path / "w.mha"), values, strict=True)


def test_positions_without_a_space_stay_as_they_are(tmp_path: Path) -> None:
    metadata = VolumeMetadata(spacing=(3.0, 2.0, 0.5), origin=(9.0, -7.0, 5.0))
    write_volume(tmp_path / "v.mha", VOLUME, metadata=metadata)
    kept = read_metadata(tmp_path / "v.mha")
    assert (kept.spacing, kept.origin) == (metadata.spacing, metadata.origin)
    write_volume(tmp_path / "w.mha", VOLUME)
    assert "Offset" not in metaimageio.read(tmp_path / "w.mha", slices=())[1]


@pytest.mark.parametrize(
    "content", [b"", b"no volume at all\n", b"DimSize = 7 6 5\nElementType = MET_LONG\n"]
)
def test_broken_files_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.mha").write_bytes(content)
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=r"v\.mha` is not a readable MetaImage"):
            read(tmp_path / "v.mha")


@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_files_are_named(compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "v.mha"
    _metaimage(CompressedData=compressed)(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"v\.mha` is not a readable MetaImage"):
        open_volume(path)


def test_samples_whose_place_is_not_known_are_refused(tmp_path: Path) -> None:
    header = "NDims = 3\nDimSize = 7 6 5\nElementType = MET_SHORT\n{}ElementDataFile = v.raw\n"
    (tmp_path / "v.raw").write_bytes(b"head" + VOLUME.tobytes())
    for tags, message in [
        ("HeaderSize = -1\n", "420 of 424 bytes"),
        ("BinaryData = False\n", "samples are text"),
    ]:
        (tmp_path / "v.mhd").write_text(header.format(tags))
        with pytest.raises(ValueError, match=message):
            open_volume(tmp_path / "v.mhd")
    (tmp_path / "v.mhd").write_text(header.format("HeaderSize = 4\n"))
    check_opens_as_written(tmp_path / "v.mhd")


@pytest.mark.parametrize(("shape", "n_channels"), [((4, 6), 1), ((2, 3, 4), 3), ((2, 3, 4, 5), 1)])
def test_files_of_any_rank_open(shape: tuple[int, ...], n_channels: int, tmp_path: Path) -> None:
    sides = (*shape, n_channels) if n_channels > 1 else shape
    values = np.arange(np.prod(sides), dtype="<i2").reshape(sides)
    header = f"ObjectType = Image\nNDims = {len(shape)}\nDimSize = {' '.join(map(str, shape[::-1]))}\n"
    header += f"ElementSpacing = {' '.join(['0.5'] * len(shape))}\nElementNumberOfChannels = {n_channels}\n"
    header += "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    (tmp_path / "v.mha").write_bytes(header.encode() + values.tobytes())
    np.testing.assert_array_equal(read_volume(tmp_path / "v.mha"), values)
    metadata = read_metadata(tmp_path / "v.mha")
    names = ("dim_0", "z", "y", "x")[-len(shape) :] + ("c",) * (n_channels > 1)
    assert metadata.dimension_names == names
    assert metadata.spacing == (0.5,) * len(shape) + (None,) * (n_channels > 1)


def test_slope_and_intercept_are_attributes_and_come_back(tmp_path: Path) -> None:
    stated = {"ElementToIntensityFunctionSlope": 0.5, "ElementToIntensityFunctionOffset": -3.0}
    _metaimage(**stated)(tmp_path / "v.mha")
    kept = read_metadata(tmp_path / "v.mha")
    assert (kept.attributes["scale_factor"], kept.attributes["add_offset"]) == (0.5, -3)
    write_volume(tmp_path / "w.mha", VOLUME, metadata=kept)
    written = metaimageio.read(tmp_path / "w.mha", slices=())[1]
    assert {tag: float(written[tag]) for tag in stated} == stated
    _metaimage(ElementToIntensityFunctionSlope=1.0)(tmp_path / "v.mha")
    assert "scale_factor" not in read_metadata(tmp_path / "v.mha").attributes
