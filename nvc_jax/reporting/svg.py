"""Figures of matplotlib as SVG that stands inside a page: text and axes have the page's colour.

This is the module that imports matplotlib (extra ``plot``); others draw by it.
"""

import base64
import contextlib
import html
import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from nvc_jax.core.optional_imports import import_extra

_INK = "#0a0b0c"
"""Colour that stands for that of the page's text while a figure is drawn."""
_STYLE = {
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), _INK
    ),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor"), "none"),
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.25,
    "svg.fonttype": "none",
    "svg.hashsalt": "nvc",
}
_IMAGE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_OWN_ID = re.compile(
    r' id="(?:figure|axes|patch|line2d|text|xtick|ytick|matplotlib\.axis|LineCollection'
    r'|QuadMesh|PathCollection|legend|image|FillBetweenPolyCollection|PolyCollection)_?\w*"'
)
_FONT = re.compile(r"font-family: [^;\"]*")
_MOST_COLOURS = 256


@contextlib.contextmanager
def drawing() -> Iterator[Any]:
    """Set the style of figures in a block, and yield the class ``Figure`` of matplotlib.

    Raises:
        ModuleNotFoundError: matplotlib is missing; the message has the command that installs it.
    """
    matplotlib = import_extra("matplotlib", "plot")
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        yield Figure


def ink() -> str:
    """Colour of the page's text, for lines of a figure."""
    return _INK


def to_svg(figure: Any, label: str) -> str:
    """Turn a figure into an ``svg`` element.

    Args:
        figure: of matplotlib, made while ``drawing``.
        label: text for those who do not see the figure.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = _IMAGE.sub(lambda match: _shrink(match[1]), _OWN_ID.sub("", text))
    text = _FONT.sub("font-family: system-ui, sans-serif", text.replace(_INK, "currentColor"))
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)


def png_address(colours: np.ndarray) -> str:
    """Turn colours, float (h, w, 3) from 0 to 1, into the address of a PNG that holds itself."""
    from PIL import Image

    return _address(Image.fromarray((colours * 255).round().astype(np.uint8)))


def _shrink(encoded: str) -> str:
    """Store a PNG of few colours with a palette, which takes about a third of the bytes."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        colours = image.convert("RGBA")
    packed, inverse = np.unique(np.asarray(colours).reshape(-1, 4), axis=0, return_inverse=True)
    if len(packed) > _MOST_COLOURS:
        return _address(colours)
    small = Image.fromarray(inverse.reshape(colours.height, colours.width).astype(np.uint8), mode="P")
    small.putpalette(packed.tobytes(), rawmode="RGBA")
    return _address(small)


def _address(image: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
