"""Orthogonal planes of an excerpt as pictures with axes and a colour bar."""

from typing import NamedTuple

import numpy as np

from nvc_jax.reporting import svg
from nvc_jax.reporting.excerpt import Excerpt

_MOST_PIXELS = 384
"""Pixels of a picture along an axis: of longer planes every second, third, … voxel is drawn."""
_WIDTH, _LEFT, _RIGHT, _BOTTOM, _TOP = 4.2, 0.62, 0.95, 0.46, 0.1
"""Width of a picture, and of what lies around the plane, in inches."""
_BAR_GAP, _BAR_WIDTH = 0.08, 0.13
_LEAST_ASPECT, _LARGEST_ASPECT = 0.45, 1.25
"""Limits of height over width of a plane: thinner ones are stretched."""
_GREY = "#8a8f98"


class Picture(NamedTuple):
    """A plane as SVG.

    Attributes:
        svg: the element.
        box: left, top, width and height of the plane in the picture, as shares of its width and height.
    """

    svg: str
    box: tuple[float, float, float, float]


class Scale(NamedTuple):
    """Colours of a plane.

    Attributes:
        low, high: values of the first and the last colour.
        colours: name of a colour map.
        title: of the colour bar.
        extend: ``"neither"``, ``"both"``: whether values lie beyond.
    """

    low: float
    high: float
    colours: str
    title: str
    extend: str = "neither"


def planes_of(excerpt: Excerpt) -> list[tuple[int, str]]:
    """List the planes that an excerpt has: the axis that each is perpendicular to, and its name."""
    joint = "" if all(len(name) < 2 for name in excerpt.axes) else " × "
    listed = []
    for axis in range(3):
        row, column = (other for other in range(3) if other != axis)
        if axis == 0 or min(excerpt.original.shape[row], excerpt.original.shape[column]) > 1:
            listed.append((axis, f"{excerpt.axes[column]}{joint}{excerpt.axes[row]}"))
    return listed


def place_of(excerpt: Excerpt, axis: int) -> str:
    """Say where the plane perpendicular to an axis lies, such as ``z = 12``."""
    if not excerpt.axes[axis]:
        return ""
    return f"{excerpt.axes[axis]} = {excerpt.starts[axis] + excerpt.original.shape[axis] // 2}"


def draw_plane(excerpt: Excerpt, values: np.ndarray, axis: int, scale: Scale, label: str) -> Picture:
    """Draw the middle plane of an array.

    Args:
        excerpt: whose axes the array has.
        values: float (z, y, x); NaN is drawn grey.
        axis: that the plane is perpendicular to.
        scale: of the colours.
        label: text for those who do not see the picture.
    """
    plane = np.take(values, values.shape[axis] // 2, axis)
    row, column = (other for other in range(3) if other != axis)
    strides = [-(-side // _MOST_PIXELS) for side in plane.shape]
    lengths = [side * excerpt.spacing[a] for side, a in zip(plane.shape, (row, column), strict=True)]
    width = _WIDTH - _LEFT - _RIGHT
    height = width * min(max(lengths[0] / lengths[1], _LEAST_ASPECT), _LARGEST_ASPECT)
    whole = height + _BOTTOM + _TOP
    with svg.drawing() as figure_class:
        import matplotlib

        figure = figure_class(figsize=(_WIDTH, whole), dpi=100)
        axes = figure.add_axes((_LEFT / _WIDTH, _BOTTOM / whole, width / _WIDTH, height / whole))
        colours = matplotlib.colormaps[scale.colours].with_extremes(bad=_GREY)
        first = [excerpt.starts[a] - 0.5 for a in (row, column)]
        image = axes.imshow(
            plane[:: strides[0], :: strides[1]],
            cmap=colours,
            vmin=scale.low,
            vmax=scale.high,
            interpolation="none",
            aspect="auto",
            extent=(first[1], first[1] + plane.shape[1], first[0] + plane.shape[0], first[0]),
        )
        axes.set(xlabel=_axis_label(excerpt, column), ylabel=_axis_label(excerpt, row))
        axes.locator_params(nbins=5, integer=True)
        left = (_WIDTH - _RIGHT + _BAR_GAP) / _WIDTH
        bar_axes = figure.add_axes((left, _BOTTOM / whole, _BAR_WIDTH / _WIDTH, height / whole))
        bar = figure.colorbar(image, cax=bar_axes, extend=scale.extend, extendfrac=0.03)
        bar.set_label(f"{scale.title} ({excerpt.value_unit})" if excerpt.value_unit else scale.title)
        bar.formatter.set_powerlimits((-3, 4))
        bar.outline.set_linewidth(0.4)
        return Picture(
            svg.to_svg(figure, label), (_LEFT / _WIDTH, _TOP / whole, width / _WIDTH, height / whole)
        )


def _axis_label(excerpt: Excerpt, axis: int) -> str:
    spacing, unit = excerpt.spacing[axis], excerpt.units[axis]
    size = f"voxels of {spacing:.4g} {unit}" if unit else "voxels"
    return f"{excerpt.axes[axis]} ({size})"


def value_scale(original: np.ndarray) -> Scale:
    """Choose the grey scale of values: all but the outermost 0.5 % at either end.

    Args:
        original: float64, NaN where there is no measurement.
    """
    finite = original[np.isfinite(original)]
    low, high = (0.0, 1.0) if finite.size == 0 else map(float, np.percentile(finite, (0.5, 99.5)))
    if not low < high:
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    beyond = finite.size and (finite.min() < low or finite.max() > high)
    return Scale(low, high if high > low else low + 1, "gray", "value", "both" if beyond else "neither")


def error_scale(limit: float, largest: float) -> Scale:
    """Colours of errors from −limit to limit; larger errors have the colours of the ends."""
    return Scale(-limit, limit, "RdBu_r", "error", "both" if largest > limit else "neither")
