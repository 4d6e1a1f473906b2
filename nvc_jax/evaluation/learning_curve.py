"""Learning curves as PNG files (extra ``plot``)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.evaluation.figures import DOTS_PER_INCH
from nvc_jax.io.atomic import naming, replacing
from nvc_jax.io.paths import output_path
from nvc_jax.io.replaceable import check_replaceable

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
    import_extra("matplotlib", "plot")
    path = output_path(path)
    check_replaceable(path, overwrite)
    from matplotlib.figure import Figure

    figure = Figure(figsize=CURVE_SIZE, layout="constrained", dpi=DOTS_PER_INCH)
    axes = figure.subplots()
    for label, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o" if len(points) < 30 else None, ms=3, label=label)
    axes.set(yscale="log", xlabel="step", ylabel=loss_name)
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    if title:
        axes.set_title(title)
    with replacing(path, overwrite=overwrite) as partial, naming(path):
        figure.savefig(partial, format="png")
