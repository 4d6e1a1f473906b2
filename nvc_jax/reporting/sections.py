"""The sections of a report: what is drawn and written, in order."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nvc_jax import __version__
from nvc_jax.core.cached_properties import cached_property
from nvc_jax.reporting import page
from nvc_jax.reporting.against import Copy
from nvc_jax.reporting.excerpt import Excerpt
from nvc_jax.reporting.guarantees import Guarantees
from nvc_jax.reporting.measures import error_histogram, power_spectrum, value_histogram
from nvc_jax.reporting.planes import draw_plane, error_scale, place_of, planes_of, value_scale
from nvc_jax.reporting.plots import plot_errors, plot_spectra, plot_values
from nvc_jax.reporting.views import render_views

_MOST_OF_ERRORS = 99.9
"""Per cent of the errors, by magnitude, that the colours of the maps span where there is no bound."""
_ROWS: tuple[tuple[str, str, str], ...] = (
    ("bits per voxel", "bits_per_voxel", ".4g"),
    ("ratio", "ratio", ".4g"),
    ("PSNR (dB)", "psnr_db", ".2f"),
    ("largest error", "max_error", ".4g"),
    ("root mean squared error", "mse", ".4g"),
    ("SSIM", "ssim", ".5f"),
)
"""Rows of the table: name, figure, format."""


@dataclasses.dataclass(frozen=True)
class Contents:
    """All that a page is made of.

    Attributes:
        original, container: names for people.
        facts: those of ``info``.
        excerpt: what is shown.
        guarantees: of the container.
        copies: the container's first, then those of other codecs.
    """

    original: str
    container: str
    facts: dict[str, Any]
    excerpt: Excerpt
    guarantees: Guarantees
    copies: list[Copy]

    @cached_property
    def error_limit(self) -> float:
        """Error at the ends of the colours: the bound, or that of nearly all errors; 0 of exact copies."""
        if self.guarantees.bound:
            return self.guarantees.bound
        for copy in self.copies:  # a lossless container has no errors
            magnitudes = np.abs(copy.errors[np.isfinite(copy.errors)])
            if magnitudes.size and (limit := float(np.percentile(magnitudes, _MOST_OF_ERRORS))) > 0:
                return limit
            if magnitudes.size and magnitudes.max() > 0:
                return float(magnitudes.max())
        return 0.0

    @property
    def title(self) -> str:
        return f"{self.original}, compressed by nvc"

    @property
    def subtitle(self) -> str:
        sides = " × ".join(map(str, self.facts["shape"]))
        return (
            f"{self.container}: {sides} voxels of {self.facts['dtype']}, model {self.facts['model']}, "
            f"nvc_jax {__version__}"
        )


def make_tiles(contents: Contents) -> dict[str, str]:
    """Make the most important figures."""
    facts, own = contents.facts, contents.copies[0].figures
    part = "" if contents.excerpt.is_whole else ", of the part shown"
    return {
        "smaller by a factor of": f"{facts['ratio']:.3g}",
        "bits per voxel": f"{facts['bits_per_voxel']:.3g}",
        f"PSNR{part}": _decibels(own["psnr_db"]),
        f"largest error{part}": f"{own['max_error']:.4g} {contents.excerpt.value_unit}".strip(),
    }


def make_sections(contents: Contents) -> Iterator[str]:
    """Make the sections, in order."""
    yield _promises(contents)
    yield _slices(contents)
    yield _errors(contents)
    yield from _renderings(contents)
    yield _curves(contents)
    yield _table(contents)
    yield _provenance(contents)


def _promises(contents: Contents) -> str:
    guarantees, excerpt = contents.guarantees, contents.excerpt
    state = {True: "good", False: "bad", None: "none"}[guarantees.is_kept]
    checks = {
        True: f"Checked here on {excerpt.original.size:,} voxels, and kept by all of them.",
        False: "NOT KEPT by the voxels shown: the original is another volume, or the container was changed.",
        None: "",
    }
    body = page.promises(guarantees.headline, guarantees.promises, checks[guarantees.is_kept], state)
    return page.section("What this container guarantees", "", body)


def _slices(contents: Contents) -> str:
    excerpt = contents.excerpt
    original, decoded = excerpt.floats
    scale = value_scale(original)
    figures = []
    for axis, name in planes_of(excerpt):
        caption = ", ".join(filter(None, (f"{name} plane", place_of(excerpt, axis))))
        pictures = [
            draw_plane(excerpt, values, axis, scale, f"{caption}, {kind}")
            for values, kind in ((original, "original"), (decoded, "decoded"))
        ]
        figures.append(page.swipe(pictures[0], pictures[1], caption))
    text = (
        f"{excerpt.describe()} Drag the white line, or focus a picture and press the arrow keys: the "
        "original is to the left of it, the decoded volume to the right."
    )
    return page.section("Original and decoded", text, page.row(figures))


def _errors(contents: Contents) -> str:
    excerpt, (own, *others) = contents.excerpt, contents.copies
    limit = contents.error_limit
    if limit == 0:
        return page.section("Errors", "All errors are 0: there is nothing to draw.", "")
    figures = []
    planes = planes_of(excerpt)
    for copy in contents.copies:
        for axis, name in planes if copy is own else planes[:1]:
            place = ", ".join(filter(None, (f"{name} plane", place_of(excerpt, axis))))
            scale = error_scale(limit, copy.figures["max_error"])
            drawn = draw_plane(excerpt, copy.errors, axis, scale, f"Errors of {copy.name}, {place}")
            bits = f", {copy.figures['bits_per_voxel']:.3g} bits per voxel" if others else ""
            figures.append(page.figure(drawn.svg, f"{copy.name}, {place}{bits}"))
    spanned = "the bound" if limit == contents.guarantees.bound else f"{_MOST_OF_ERRORS} % of the errors"
    text = f"Decoded minus original: red is too high, blue too low. The colours span {spanned}: ±{limit:.4g}."
    return page.section("Errors", f"{text} {_comparison(contents)}".strip(), page.row(figures))


def _comparison(contents: Contents) -> str:
    """Say under what conditions other codecs were compared."""
    others = contents.copies[1:]
    if not others:
        return ""
    names = ", ".join(f"{copy.name} {copy.version}" for copy in others)
    has_bound = bool(contents.guarantees.bound)
    terms = "the same bound" if has_bound else "as near to the same number of bits as their settings allow"
    return f"{names} got the same voxels as floats, in one piece, and {terms}."


def _renderings(contents: Contents) -> Iterator[str]:
    original, decoded = contents.excerpt.floats
    rendered = render_views(original, decoded)
    if rendered is None:
        return
    addresses, opaque = rendered
    pictures = [
        page.image(address, f"Rendering of the {kind} volume")
        for address, kind in zip(addresses, ("original", "decoded"), strict=True)
    ]
    text = f"Values of {opaque:.4g} and more are opaque."
    views = page.swipe(pictures[0], pictures[1], "seen from outside", "view")
    yield page.section("Rendering", text, views)


def _curves(contents: Contents) -> str:
    original, decoded = contents.excerpt.floats
    own = contents.copies[0]
    finite = original[np.isfinite(original)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    limit = 1.2 * contents.error_limit
    figures = []
    if limit > 0:
        histograms = {c.name: error_histogram(c.errors, limit) for c in contents.copies}
        figures.append(page.figure(plot_errors(histograms, contents.guarantees.bound), "Errors"))
    values = (value_histogram(original, low, high), value_histogram(decoded, low, high))
    figures.append(page.figure(plot_values(*values, own.name), "Values"))
    errors = {copy.name: power_spectrum(copy.errors) for copy in contents.copies}
    spectra = plot_spectra(power_spectrum(original), power_spectrum(decoded), errors)
    caption = "Power spectrum, averaged over directions: where the error meets the signal, detail is lost"
    figures.append(page.figure(spectra, caption))
    return page.section("Distributions and spectra", "", page.row(figures))


def _table(contents: Contents) -> str:
    readers: dict[str, Callable[[float], float]] = {"mse": math.sqrt}
    rows = [
        [name, *(_figure(readers.get(key, float)(copy.figures[key]), form) for copy in contents.copies)]
        for name, key, form in _ROWS
    ]
    width = contents.facts["maximum"] - contents.facts["minimum"]
    if width > 0:
        shares = [100 * copy.figures["max_error"] / width for copy in contents.copies]
        rows.insert(4, ["largest error (% of the range)", *(f"{share:.3g}" for share in shares)])
    text = f"{contents.excerpt.describe()} {_comparison(contents)}".strip()
    table = page.table("Figures by codec", ["", *(copy.name for copy in contents.copies)], rows)
    return page.section("Figures", text, table)


def _provenance(contents: Contents) -> str:
    shown = {name: str(value) for name, value in contents.facts.items() if value is not None}
    return page.details("All that the container states of itself", shown)


def _decibels(value: float) -> str:
    return "exact copy" if value == math.inf else _figure(value, ".1f") + " dB"


def _figure(value: float, form: str) -> str:
    if math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else format(value, form)
