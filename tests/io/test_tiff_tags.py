from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from nvc_jax.io.tiff_tags import tag_attributes
from nvc_jax.io.volumes import read_metadata

PLANES = np.arange(3 * 16 * 20, dtype=np.uint8).reshape(3, 16, 20)
DOCUMENT = "<GDALMetadata><Item name='SCALE' sample='0' role='scale'>0.1</Item></GDALMetadata>"


def attributes(path: Path, values: np.ndarray = PLANES, **options: Any) -> dict[str, Any]:
    tifffile.imwrite(path / "v.tif", values, metadata=None, **options)
    with tifffile.TiffFile(path / "v.tif") as tiff:
        stated = tag_attributes(tiff)
    kept = read_metadata(path / "v.tif").attributes
    assert {name: kept[name] for name in stated} == stated
    return stated


def test_places_on_a_map_are_kept(tmp_path: Path) -> None:
    tags = [
        (33550, 12, 3, (10.0, 10.0, 0.0), True),
        (33922, 12, 6, (0.0, 0.0, 0.0, 1000.0, 2000.0, 0.0), True),
        (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1), True),
        (42112, 2, 0, DOCUMENT, True),
    ]
    stated = attributes(tmp_path, photometric="minisblack", extratags=tags)
    assert stated["GDAL_METADATA"] == DOCUMENT
    assert stated["geotiff"]["ModelPixelScale"] == [10.0, 10.0, 0.0]
    assert stated["geotiff"]["ModelTiepoint"] == [0.0, 0.0, 0.0, 1000.0, 2000.0, 0.0]


def test_turned_rows_and_inverted_grey_are_kept(tmp_path: Path) -> None:
    turned = attributes(tmp_path, photometric="miniswhite", extratags=[(274, 3, 1, 6, True)])
    assert turned == {"Orientation": 6, "PhotometricInterpretation": "MINISWHITE"}


def test_colours_of_indices_are_kept(tmp_path: Path) -> None:
    colours = np.arange(768, dtype=np.uint16).reshape(3, 256)
    stated = attributes(tmp_path, PLANES[0], photometric="palette", colormap=colours)
    assert stated == {"PhotometricInterpretation": "PALETTE", "ColorMap": colours.reshape(-1).tolist()}


def test_plain_files_state_none_of_these(tmp_path: Path) -> None:
    assert attributes(tmp_path, photometric="minisblack") == {}
