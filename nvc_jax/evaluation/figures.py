"""Pictures: slices, error maps and volume renderings (extra ``plot``).

The ray-marcher is pure ``jax.numpy`` and needs no extra; only what writes files asks for matplotlib.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.io.volumes import import_extra


def save_panels(
    path: Path | str,
    rows: Mapping[str, Mapping[str, np.ndarray]],
    *,
    error_rows: Mapping[str, float] | None = None,
    value_range: tuple[float, float] | None = None,
    title: str | None = None,
) -> None:
    """Write a grid of pictures as a PNG.

    Args:
        path: of the PNG.
        rows: for each row's label, its pictures by their titles: (h, w) values or (h, w, 3) colours.
        error_rows: labels of the rows that show absolute errors, each with the error drawn brightest.
        value_range: values drawn black and white in all other grey pictures; None for each one's own.
        title: of the whole figure.

    Raises:
        ModuleNotFoundError: matplotlib is missing; the message has the command that installs it.
    """
    import_extra("matplotlib", "plot")
    from matplotlib.figure import Figure

    error_rows = error_rows or {}
    n_columns = max(len(row) for row in rows.values())
    figure = Figure(figsize=(2.6 * n_columns + 0.4, 2.75 * len(rows) + 0.3), layout="constrained", dpi=110)
    axes = figure.subplots(len(rows), n_columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    above: list[str] = []
    for row_axes, (label, pictures) in zip(axes, rows.items(), strict=True):
        row_axes[0].set_ylabel(label)
        for axis, (name, picture) in zip(row_axes, pictures.items(), strict=False):
            if list(pictures) != above:  # a row like the one above needs no titles again
                axis.set_title(name, fontsize=9)
            if label in error_rows:
                limits: dict[str, Any] = {"cmap": "inferno", "vmin": 0, "vmax": error_rows[label]}
            else:
                low, high = value_range or (float(picture.min()), float(picture.max()))
                limits = {"cmap": "gray", "vmin": low, "vmax": high}
            axis.imshow(picture, interpolation="nearest", **limits)
        above = list(pictures)
    if title:
        figure.suptitle(title, fontsize=10)
    figure.savefig(path)
