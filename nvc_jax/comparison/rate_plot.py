"""Plot of quality against bits for several codecs (extra ``plot``)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nvc_jax.comparison.compare import ComparedCodec
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.atomic import naming, replacing
from nvc_jax.io.paths import output_path
from nvc_jax.io.replaceable import check_replaceable

_BOUND_MARKER, _PSNR_MARKER = "o", "s"
_TITLE_SIZE = 10
_SIZE, _DOTS_PER_INCH = (6.4, 4.2), 130
"""Width and height in inches, and resolution."""


def check_plot(path: str | Path, overwrite: bool) -> None:
    """Raise unless a plot can be drawn and written: see ``save_rate_plot``."""
    import_extra("matplotlib", "plot")
    check_replaceable(output_path(path), overwrite)


def save_rate_plot(
    path: str | Path, rows: Sequence[ComparedCodec], title: str, *, overwrite: bool = False
) -> None:
    """Draw PSNR by bits per voxel, a line for each codec and kind of target; exact copies are vertical lines.

    Args:
        path: location of the PNG.
        rows: of all targets.
        title: of the plot.
        overwrite: whether to replace a file that lies at ``path``.

    Raises:
        FileExistsError: something lies at ``path`` that is not replaced.
        FileNotFoundError: the directory of ``path`` does not exist.
        ModuleNotFoundError: matplotlib is missing; the message has the command that installs it.
    """
    check_plot(path, overwrite)
    path = output_path(path)
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    figure = Figure(figsize=_SIZE, layout="constrained", dpi=_DOTS_PER_INCH)
    axes = figure.subplots()
    for number, name in enumerate(dict.fromkeys(row.codec for row in rows)):
        _draw_codec(axes, [row for row in rows if row.codec == name], f"C{number}", is_first=number == 0)
    axes.set(xscale="log", xlabel="bits per voxel", ylabel="PSNR (dB)")
    figure.suptitle(title, fontsize=_TITLE_SIZE)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(0.08)
    axes.grid(alpha=0.3)
    axes.set_title(_explain({next(iter(row.target)) for row in rows}), loc="right", fontsize="small")
    axes.legend()
    with replacing(path, overwrite=overwrite) as partial, naming(path):
        figure.savefig(partial, format="png")


def _draw_codec(axes: Any, rows: Sequence[ComparedCodec], colour: str, *, is_first: bool) -> None:
    """Draw the points of a codec, joined where their targets are of one kind."""
    width, size = (2.2, 7) if is_first else (1.2, 5)
    label = rows[0].codec
    for kind in dict.fromkeys(next(iter(row.target)) for row in rows):
        of_kind = [row for row in rows if kind in row.target]
        points = sorted((row.bits_per_voxel, row.psnr_db) for row in of_kind if row.psnr_db < math.inf)
        if points:
            marker = _PSNR_MARKER if kind == "psnr" else _BOUND_MARKER
            axes.plot(*zip(*points, strict=True), f"{marker}-", color=colour, label=label, lw=width, ms=size)
            label = "_"
        for row in of_kind:
            if row.psnr_db == math.inf:
                axes.axvline(row.bits_per_voxel, color=colour, linestyle="--", linewidth=1.2, label=label)
                label = "_"


def _explain(kinds: set[str]) -> str:
    """Say what markers stand for."""
    words = []
    if kinds & {"max_error", "relative_error"}:
        words.append("circles: equal bound")
    if "psnr" in kinds:
        words.append("squares: equal PSNR")
    return ", ".join([*words, "dashed: exact"])
