"""Learning curves as PNG files (extra ``plot``)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nvc_jax.evaluation.figures import png_figure

CURVE_SIZE = (6.4, 3.6)
"""Width and height of the picture in inches."""


def save_learning_curve(
    path: Path | str,
    curves: Mapping[str, Sequence[tuple[int, float]]],
    *,
    loss_name: str = "loss",
    title: str | None = None,
    overwrite: bool = False,
) -> None:
    """Draw losses over optimiser steps, on a logarithmic axis, as a PNG.

    Args:
        path: location of the PNG.
        curves: for each label, pairs of a step and a positive loss.
        loss_name: name of the losses, with their unit.
        title: title of the picture.
        overwrite: whether to replace a file that lies at ``path``.

    Raises:
        FileExistsError: something lies at ``path`` that is not replaced.
        FileNotFoundError: the directory of ``path`` does not exist.
        ModuleNotFoundError: matplotlib is missing; the message has the command that installs it.
    """
    with png_figure(path, CURVE_SIZE, overwrite=overwrite) as figure:
        axes = figure.subplots()
        for label, points in curves.items():
            axes.plot(*zip(*points, strict=True), marker="o" if len(points) < 30 else None, ms=3, label=label)
        axes.set(yscale="log", xlabel="step", ylabel=loss_name)
        axes.grid(alpha=0.3, which="both")
        axes.legend()
        if title:
            axes.set_title(title)
