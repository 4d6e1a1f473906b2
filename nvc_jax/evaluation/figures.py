"""Grids of pictures as PNG files: slices, error maps and renderings (extra ``plot``).

This is the only module that needs matplotlib.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.atomic import naming, replacing
from nvc_jax.io.paths import output_path
from nvc_jax.io.replaceable import check_replaceable

PANEL_SIZE = (2.6, 2.75)
"""Width and height of a panel with its title, in inches."""

FRAME_SIZE = (0.4, 0.3)
"""Width of the row labels and height of the figure's title, in inches."""

COLOUR_BAR_WIDTH = 0.9
"""Width of the colour bars and their labels, in inches."""

DOTS_PER_INCH = 110
"""Resolution of the PNG."""

TITLE_SIZE, PANEL_TITLE_SIZE = 10, 9
"""Font sizes of the titles of the figure and of a panel, in points."""


def save_panels(
    path: Path | str,
    rows: Mapping[str, Mapping[str, np.ndarray]],
    *,
    error_rows: Mapping[str, float] | None = None,
    value_range: tuple[float, float] | None = None,
    colour_bars: Mapping[str, str] | None = None,
    title: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a grid of pictures as a PNG.

    Args:
        path: location of the PNG.
        rows: for each row's label, its pictures by their titles: (h, w) values or (h, w, 3) colours.
        error_rows: labels of the rows that show absolute errors, each with the error drawn brightest.
        value_range: values drawn black and white in all other grey pictures; None for each picture's own.
        colour_bars: labels of the rows that have a colour bar on their right, each with the text beside it.
        title: title of the whole figure.
        overwrite: whether to replace a file that lies at ``path``.

    Raises:
        FileExistsError: something lies at ``path`` that is not replaced.
        FileNotFoundError: the directory of ``path`` does not exist.
        ModuleNotFoundError: matplotlib is missing; the message has the command that installs it.
    """
    error_rows = error_rows or {}
    n_columns = max(len(pictures) for pictures in rows.values())
    width = PANEL_SIZE[0] * n_columns + FRAME_SIZE[0] + (COLOUR_BAR_WIDTH if colour_bars else 0)
    height = PANEL_SIZE[1] * len(rows) + FRAME_SIZE[1]
    with png_figure(path, (width, height), overwrite=overwrite) as figure:
        _draw_rows(figure, rows, n_columns, error_rows, value_range, colour_bars or {})
        if title:
            figure.suptitle(title, fontsize=TITLE_SIZE)


@contextlib.contextmanager
def png_figure(path: Path | str, size: tuple[float, float], *, overwrite: bool) -> Iterator[Any]:
    """Make a figure of matplotlib, and write it as a PNG when the block ends.

    Args:
        path: location of the PNG.
        size: width and height in inches.
        overwrite: whether to replace a file that lies at ``path``.

    Raises:
        FileExistsError: something lies at ``path`` that is not replaced.
        FileNotFoundError: the directory of ``path`` does not exist.
        ModuleNotFoundError: matplotlib is missing; the message has the command that installs it.
    """
    import_extra("matplotlib", "plot")
    path = output_path(path)
    check_replaceable(path, overwrite)
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", dpi=DOTS_PER_INCH)
    yield figure
    with replacing(path, overwrite=overwrite) as partial, naming(path):
        figure.savefig(partial, format="png")


def _draw_rows(
    figure: Any,
    rows: Mapping[str, Mapping[str, np.ndarray]],
    n_columns: int,
    error_rows: Mapping[str, float],
    value_range: tuple[float, float] | None,
    colour_bars: Mapping[str, str],
) -> None:
    """Draw all rows of pictures, with their labels, titles and colour bars."""
    axes = figure.subplots(len(rows), n_columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)

    titles_above: list[str] = []
    for row_axes, (label, pictures) in zip(axes, rows.items(), strict=True):
        row_axes[0].set_ylabel(label)
        image = _draw_row(row_axes, pictures, error_rows.get(label), value_range)
        if label in colour_bars:
            extend = "max" if label in error_rows else "neither"
            figure.colorbar(image, ax=list(row_axes), label=colour_bars[label], extend=extend, pad=0.01)
        if list(pictures) != titles_above:  # titles that repeat those of the row above are left out
            for axis, name in zip(row_axes, pictures, strict=False):
                axis.set_title(name, fontsize=PANEL_TITLE_SIZE)
        titles_above = list(pictures)


def _draw_row(
    axes: np.ndarray,
    pictures: Mapping[str, np.ndarray],
    largest_error: float | None,
    value_range: tuple[float, float] | None,
) -> Any:
    """Draw one row of pictures: errors from 0 to ``largest_error`` if it is given, else grey values.

    Returns:
        The last of matplotlib's images.
    """
    for axis, picture in zip(axes, pictures.values(), strict=False):
        if largest_error is not None:
            colours: dict[str, Any] = {"cmap": "inferno", "vmin": 0, "vmax": largest_error}
        else:
            black, white = value_range or (float(picture.min()), float(picture.max()))
            colours = {"cmap": "gray", "vmin": black, "vmax": white}
        image = axis.imshow(picture, interpolation="nearest", **colours)
    return image
