import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import tifffile
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.volumes import open_volume, read_metadata, read_volume


def _tiff(**options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, VOLUME, photometric="minisblack", **options)


FILES = [
    ("v.tif", _tiff()),
    ("v.tiff", _tiff(compression="zlib")),
    ("imagej.tif", _tiff(imagej=True, metadata={"axes": "ZYX"})),
    ("v.ome.tif", _tiff(metadata={"axes": "ZYX"})),
    ("packed.ome.tif", _tiff(metadata={"axes": "ZYX"}, compression="zlib")),
    ("pages.tif", _tiff(compression="zlib", byteorder=">", metadata=None)),
    ("big.tif", _tiff(byteorder=">")),
    ("tiles.tif", _tiff(compression="zlib", tile=(16, 16))),
    ("bricks.tif", _tiff(compression="zlib", volumetric=True, tile=(2, 16, 16))),
]


@pytest.mark.parametrize(("name", "write"), FILES, ids=[name for name, _ in FILES])
def test_files_open_with_their_axes_z_y_x(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    check_opens_as_written(tmp_path / name)


def test_compressed_files_are_read_by_several_threads(
    read_planes_by_threads: Callable[[ts.TensorStore], np.ndarray], tmp_path: Path
) -> None:
    _tiff(compression="zlib")(tmp_path / "v.tiff")
    np.testing.assert_array_equal(read_planes_by_threads(open_volume(tmp_path / "v.tiff")), VOLUME[:4])


def test_a_file_of_one_imagej_slice_is_a_plane(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "v.tif", VOLUME[:1], imagej=True)
    np.testing.assert_array_equal(read_volume(tmp_path / "v.tif"), VOLUME[0])


def test_metadata_of_imagej_are_read(tmp_path: Path) -> None:
    axes = {"axes": "ZYX", "spacing": 3.0, "unit": "um"}
    _tiff(imagej=True, resolution=(2, 4), metadata=axes)(tmp_path / "imagej.tif")
    metadata = read_metadata(tmp_path / "imagej.tif")
    assert (metadata.spacing, metadata.units) == ((3.0, 0.25, 0.5), ("um", "um", "um"))
    assert metadata.attributes["ImageJ"]["slices"] == 5


def test_metadata_of_ome_are_read(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "nm"}
    _tiff(metadata={"axes": "ZYX", **sizes})(tmp_path / "v.ome.tif")
    metadata = read_metadata(tmp_path / "v.ome.tif")
    assert (metadata.spacing, metadata.units) == ((2.0, 0.25, 0.5), ("nm", "µm", "µm"))


def test_the_description_is_an_attribute(tmp_path: Path) -> None:
    _tiff(metadata=None, description="a rock")(tmp_path / "v.tif")
    assert read_metadata(tmp_path / "v.tif").attributes == {"ImageDescription": "a rock"}


@pytest.mark.parametrize("content", [b"", b"no volume at all\n", b"NRRD0004\ntype: short\n\n"])
def test_broken_files_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.tif").write_bytes(content)
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=r"v.tif` is not a readable"):
            read(tmp_path / "v.tif")


def test_truncated_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "v.tif"
    _tiff()(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"v\.tif` is not a readable"):
        open_volume(path)


def test_unsupported_dtypes_are_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "v.tif", VOLUME.astype(np.complex64), photometric="minisblack")
    with pytest.raises(TypeError, match=r"v.tif` has dtype complex64"):
        open_volume(tmp_path / "v.tif")


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tiff()(tmp_path / "v.tif")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for read in (open_volume, read_metadata):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
            read(tmp_path / "v.tif")


@pytest.mark.parametrize(("text", "expected"), [("-9999", [-9999.0]), ("-3.4e38", [-3.4e38]), ("nan", [])])
def test_the_missing_value_of_gdal_is_declared(text: str, expected: list[float], tmp_path: Path) -> None:
    _tiff(extratags=[(42113, "s", 0, text, True)])(tmp_path / "v.tif")
    metadata = read_metadata(tmp_path / "v.tif")
    assert [value for value in metadata.missing_values if value == value] == expected
    assert metadata.attributes["GDAL_NODATA"] == text


def test_a_missing_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    _tiff(extratags=[(42113, "s", 0, "none", True)])(tmp_path / "v.tif")
    with pytest.warns(UserWarning, match="GDAL's missing value 'none' is no number; it is ignored"):
        assert read_metadata(tmp_path / "v.tif").missing_values == ()


def test_further_images_are_named(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "v.tif") as writer:
        for plane in VOLUME:
            writer.write(plane)
    with pytest.warns(UserWarning, match=r"`.*v\.tif` holds 4 further images, of shape \(6, 7\), .*left out"):
        np.testing.assert_array_equal(read_volume(tmp_path / "v.tif"), VOLUME[0])
    with tifffile.TiffWriter(tmp_path / "w.tif") as writer:
        writer.write(VOLUME, photometric="minisblack")
        writer.write(VOLUME[:, ::2, ::2], photometric="minisblack", subfiletype=1)  # a smaller copy
    np.testing.assert_array_equal(read_volume(tmp_path / "w.tif"), VOLUME)


def test_missing_planes_of_ome_are_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "v.ome.tif", VOLUME, metadata={"axes": "ZYX"}, photometric="minisblack")
    content = (tmp_path / "v.ome.tif").read_bytes()
    assert content.count(b'PlaneCount="5"') == 1
    (tmp_path / "v.ome.tif").write_bytes(content.replace(b'PlaneCount="5"', b'PlaneCount="3"'))
    with pytest.warns(UserWarning, match=r"`.*v\.ome\.tif` lacks 2 of its 5 planes, which are read as 0"):
        volume = read_volume(tmp_path / "v.ome.tif")
    np.testing.assert_array_equal(volume, [*VOLUME[:3], *np.zeros_like(VOLUME[3:])])


SERIES = np.arange(2 * 3 * 4 * 5 * 7, dtype=np.uint16).reshape(2, 3, 4, 5, 7)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("options", "axes", "names"),
    [
        ({"imagej": True}, "TZCYX", ("t", "z", "c", "y", "x")),
        ({"ome": True}, "TCZYX", ("t", "c", "z", "y", "x")),
        ({"imagej": True}, "TZYX", ("t", "z", "y", "x")),
        ({"ome": True}, "CYX", ("c", "y", "x")),
        ({"ome": True}, "YX", ("y", "x")),
    ],
)
def test_hyperstacks_have_their_axes(
    options: dict[str, Any], axes: str, names: tuple[str, ...], compression: str | None, tmp_path: Path
) -> None:
    volume = SERIES[(0,) * (5 - len(axes))]
    metadata = (
        {"axes": axes, "finterval": 0.5, "spacing": 3.0, "unit": "um"}
        if "imagej" in options
        else {"axes": axes}
    )
    tifffile.imwrite(tmp_path / "v.tif", volume, compression=compression, metadata=metadata, **options)
    store = open_volume(tmp_path / "v.tif")
    np.testing.assert_array_equal(store.read().result(), volume)
    np.testing.assert_array_equal(store[..., 1:3, 2:].read().result(), volume[..., 1:3, 2:])
    kept = read_metadata(tmp_path / "v.tif")
    assert kept.dimension_names == names
    if "imagej" in options:
        assert kept.spacing == tuple({"t": 0.5, "z": 3.0, "c": None}.get(name, 1.0) for name in names)
        assert kept.units == tuple({"t": "s", "c": None}.get(name, "um") for name in names)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("n_pages", [1, 2])
def test_colours_are_channels(planar: str, compression: str | None, n_pages: int, tmp_path: Path) -> None:
    colours = np.arange(2 * 16 * 16 * 3, dtype=np.uint8).reshape(2, 16, 16, 3)[:n_pages]
    volume = (colours if planar == "contig" else np.moveaxis(colours, -1, 1))[
        0 if n_pages == 1 else slice(None)
    ]
    path = tmp_path / "v.tif"
    tifffile.imwrite(
        path, volume, photometric="rgb", planarconfig=planar, compression=compression, metadata=None
    )
    np.testing.assert_array_equal(read_volume(path), volume)
    names = read_metadata(path).dimension_names or ()
    assert names.index("s") == (len(names) - (1 if planar == "contig" else 3))
