from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
import tifffile
from PIL import Image
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.volumes import open_volume, read_metadata, read_volume


def _write(folder: Path, suffix: str = ".tif", volume: np.ndarray = VOLUME, first: int = 8) -> None:
    """Write slices whose numbers have one digit or two."""
    for z, plane in enumerate(volume):
        path = folder / f"scan2_{first + z}{suffix}"
        if suffix.lower() == ".png":
            Image.fromarray(plane).save(path)
        else:
            tifffile.imwrite(path, plane)


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".TIF"])
def test_slices_come_in_natural_order(suffix: str, tmp_path: Path) -> None:
    _write(tmp_path, suffix)
    (tmp_path / "notes.txt").write_text("no slice")
    (tmp_path / "._scan2_9.tif").write_bytes(b"of another system")
    check_opens_as_written(tmp_path)
    np.testing.assert_array_equal(read_volume(f"file://{tmp_path}"), VOLUME)
    assert read_metadata(tmp_path).dimension_names == ("z", "y", "x")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_slices_may_be_png(dtype: type, tmp_path: Path) -> None:
    values = VOLUME.astype(dtype) * 200
    _write(tmp_path, ".png", values)
    np.testing.assert_array_equal(read_volume(tmp_path), values, strict=True)


def test_slices_are_read_by_several_threads(
    read_planes_by_threads: Callable[[ts.TensorStore], np.ndarray], tmp_path: Path
) -> None:
    _write(tmp_path)
    np.testing.assert_array_equal(read_planes_by_threads(open_volume(tmp_path)), VOLUME[:4])


@pytest.mark.parametrize("plane", [VOLUME[0, 1:], VOLUME[0].astype(np.uint16)])
def test_slices_that_differ_are_named(plane: np.ndarray, tmp_path: Path) -> None:
    _write(tmp_path)
    tifffile.imwrite(tmp_path / "scan2_9.tif", plane)
    with pytest.raises(ValueError, match=r"`scan2_8\.tif` is 6·7 int16, `scan2_9\.tif` is "):
        open_volume(tmp_path)


def test_images_that_are_no_slices_are_named(tmp_path: Path) -> None:
    for name, values in (("pages.tif", VOLUME), ("color.tif", np.zeros((6, 7, 3), np.uint8))):
        tifffile.imwrite(tmp_path / name, values, photometric="rgb" if "color" in name else "minisblack")
        with pytest.raises(
            ValueError, match=rf"{name}` is not a readable TIFF file: a slice must be one image"
        ):
            open_volume(tmp_path)
        (tmp_path / name).unlink()
    for mode in ("RGB", "P", "LA", "1"):
        Image.new(mode, (7, 6)).save(tmp_path / "v.png")
        with pytest.raises(ValueError, match=rf"v\.png` is not a readable PNG .*its mode is {mode}"):
            open_volume(tmp_path)
    (tmp_path / "v.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"v\.png` is not a readable PNG"):
        open_volume(tmp_path)
    tifffile.imwrite(tmp_path / "v.tif", VOLUME[0])
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match="holds slices of PNG and TIFF"):
            read(tmp_path)


def test_a_gap_in_their_numbers_is_warned_of(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "scan2_11.tif").unlink()
    with pytest.warns(UserWarning, match=r"`scan2_12\.tif` follows `scan2_10\.tif`"):
        assert open_volume(tmp_path).shape == (4, 6, 7)


def test_missing_values_of_gdal_are_kept(tmp_path: Path) -> None:
    for z in range(2):
        tags = [(42113, 2, 4, f"-{z + 1}\0", True)]
        tifffile.imwrite(tmp_path / f"{z}.tif", VOLUME[z], extratags=tags)
    assert read_metadata(tmp_path).missing_values == (-1, -2)


def test_slices_that_change_are_noticed(tmp_path: Path) -> None:
    _write(tmp_path)
    store = open_volume(tmp_path)
    tifffile.imwrite(tmp_path / "scan2_9.tif", VOLUME[0, 1:])
    with pytest.raises(ValueError, match=r"scan2_9\.tif` has changed"):
        store[1].read().result()
