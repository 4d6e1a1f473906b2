"""Curves of a report: histograms of errors and of values, and power spectra."""

from collections.abc import Mapping
from typing import Any

from nvc_jax.reporting import svg
from nvc_jax.reporting.measures import Histogram, Spectrum

COLOURS = ("#2f7ff0", "#e8590c", "#2f9e44", "#ae3ec9")
"""Colours of nvc-1 and of other codecs, seen on light and on dark pages."""
_SIZE = (4.6, 3.0)
"""Width and height of a plot in inches."""


def plot_errors(histograms: Mapping[str, Histogram], bound: float | None) -> str:
    """Plot counts of errors by codec, with the bound as dashed lines."""
    with svg.drawing() as figure_class:
        figure = figure_class(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        for number, (name, histogram) in enumerate(histograms.items()):
            _stairs(axes, histogram, name, COLOURS[number % len(COLOURS)], is_filled=number == 0)
        if bound:
            for place in (-bound, bound):
                axes.axvline(place, color=svg.ink(), linewidth=1, linestyle="--")
            axes.plot([], [], color=svg.ink(), linewidth=1, linestyle="--", label=f"bound ±{bound:.4g}")
        axes.set(xlabel="error, decoded − original", ylabel="voxels")
        _finish(axes, any(histogram.counts.any() for histogram in histograms.values()))
        return svg.to_svg(figure, "Histogram of errors on a logarithmic scale")


def plot_values(original: Histogram, decoded: Histogram, name: str) -> str:
    """Plot counts of values of the original and of the decoded volume."""
    with svg.drawing() as figure_class:
        figure = figure_class(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        axes.stairs(original.counts, original.edges, color=svg.ink(), alpha=0.25, fill=True, label="original")
        axes.stairs(decoded.counts, decoded.edges, color=COLOURS[0], label=name)
        axes.set(xlabel="value", ylabel="voxels")
        _finish(axes, bool(original.counts.any()))
        return svg.to_svg(figure, "Histogram of the values of the original and the decoded volume")


def plot_spectra(original: Spectrum, decoded: Spectrum, errors: Mapping[str, Spectrum]) -> str:
    """Plot power by frequency: of the original, of the decoded volume, and of the errors of each codec."""
    with svg.drawing() as figure_class:
        figure = figure_class(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        axes.plot(*original, color=svg.ink(), linewidth=2.4, alpha=0.4, label="original")
        axes.plot(*decoded, color=COLOURS[0], linewidth=1.2, label=next(iter(errors), "decoded"))
        for number, (name, spectrum) in enumerate(errors.items()):
            if (spectrum.power > 0).any():
                colour = COLOURS[number % len(COLOURS)]
                axes.plot(
                    *spectrum, color=colour, linewidth=1.3, linestyle=(0, (4, 1.5)), label=f"error of {name}"
                )
        axes.set(xlabel="frequency (cycles/voxel)", ylabel="power", xlim=(0, 0.5))
        _finish(axes, bool((original.power > 0).any()))
        return svg.to_svg(figure, "Power spectra of the original, the decoded volume and the errors")


def _stairs(axes: Any, histogram: Histogram, name: str, colour: str, *, is_filled: bool) -> None:
    counts = histogram.counts
    if is_filled:
        axes.stairs(counts, histogram.edges, color=colour, alpha=0.25, fill=True)
    axes.stairs(counts, histogram.edges, color=colour, label=name)


def _finish(axes: Any, is_positive: bool) -> None:
    """Set the scale, which is logarithmic if any number is positive, the grid and the legend."""
    if is_positive:
        axes.set_yscale("log")
    axes.grid(visible=True)
    axes.legend()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
