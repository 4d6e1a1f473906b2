"""Tags of TIFF that say what samples and rows mean: map places, turned rows, inverted or indexed grey."""

from typing import Any

import numpy as np

from nvc_jax.io.metadata import attempt, attributes_as_json

_GDAL_METADATA = 42112
"""Tag with GDAL's document of a band's name, scale and offset."""
_ORIENTATION, _UPRIGHT = 274, 1
_COLOUR_MAP = 320
_MOST_COLOURS = 3 << 12
"""Entries of a colour map that are kept."""
_PLAIN = ("MINISBLACK", "RGB")
"""Photometric interpretations that say no more than the axes do."""


def tag_attributes(tiff: Any) -> dict[str, Any]:
    """Read tags of the first page of an open file, as attributes that JSON can hold.

    These are ``geotiff``, the places that GeoTIFF states, ``GDAL_METADATA``, ``Orientation`` where rows are
    turned or mirrored, ``PhotometricInterpretation`` where 0 is white or samples are indices, and the
    ``ColorMap`` of these. Voxels stay as they are stored.
    """
    page = tiff.series[0].keyframe
    photometric = attempt(lambda: str(page.photometric.name))
    colours = attempt(lambda: np.ravel(page.tags[_COLOUR_MAP].value).tolist())
    stated = {
        "geotiff": attempt(lambda: dict(page.geotiff_tags)) or None,
        "GDAL_METADATA": attempt(lambda: str(page.tags[_GDAL_METADATA].value).strip("\0 ")),
        "Orientation": attempt(lambda: int(page.tags[_ORIENTATION].value)),
        "PhotometricInterpretation": None if photometric in _PLAIN else photometric,
        "ColorMap": colours if colours is not None and len(colours) <= _MOST_COLOURS else None,
    }
    if stated["Orientation"] == _UPRIGHT:
        del stated["Orientation"]
    return attributes_as_json({name: value for name, value in stated.items() if value is not None})
