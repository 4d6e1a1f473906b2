"""A plot of rate against distortion of several codecs (extra ``plot``)."""

import math
from collections.abc import Sequence
from pathlib import Path

from nvc_jax.comparison.compare import ComparedCodec
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.atomic import naming, replacing
from nvc_jax.io.paths import output_path
from nvc_jax.io.replaceable import check_replaceable

_SIZE, _DOTS_PER_INCH = (6.4, 4.2), 130
"""Width and height in inches, and resolution."""


def check_plot(path: str | Path, overwrite: bool) -> None:
    """Raise unless a plot can be drawn and written: see ``save_rate_plot``."""
    import_extra("matplotlib", "plot")
    check_replaceable(output_path(path), overwrite)


def save_rate_plot(
    path: str | Path, rows: Sequence[ComparedCodec], title: str, *, overwrite: bool = False
) -> None:
    """Draw PSNR by bits per voxel, a line for each codec; lossless codecs are vertical lines.

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
    names = list(dict.fromkeys(row.codec for row in rows))
    for number, name in enumerate(names):
        of_codec = [row for row in rows if row.codec == name]
        points = sorted((row.bits_per_voxel, row.psnr_db) for row in of_codec if row.psnr_db < math.inf)
        colour = f"C{number}"
        width, size = (2.2, 7) if number == 0 else (1.2, 5)
        label = name
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=label, lw=width, ms=size)
            label = "_"
        for row in of_codec:
            if row.psnr_db == math.inf:
                axes.axvline(row.bits_per_voxel, color=colour, linestyle="--", linewidth=1.2, label=label)
    axes.set(xscale="log", xlabel="bits per voxel", ylabel="PSNR (dB)", title=title)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(0.08)
    axes.grid(alpha=0.3)
    axes.legend(title="dashed: lossless" if any(row.psnr_db == math.inf for row in rows) else None)
    with replacing(path, overwrite=overwrite) as partial, naming(path):
        figure.savefig(partial, format="png")
