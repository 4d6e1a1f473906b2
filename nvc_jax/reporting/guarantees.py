"""Sentences of the report: what a container guarantees, and whether the excerpt keeps it."""

import dataclasses
from typing import Any

import numpy as np

from nvc_jax.core.errors import largest_pointwise_error
from nvc_jax.reporting.excerpt import Excerpt


@dataclasses.dataclass(frozen=True)
class Guarantees:
    """Promises of a container.

    Attributes:
        headline: the most important one, a few words.
        promises: sentences.
        bound: largest error allowed, in the volume's units; None if there is no such bound.
        is_kept: whether the excerpt keeps the bound; None if there is none.
    """

    headline: str
    promises: tuple[str, ...]
    bound: float | None
    is_kept: bool | None


def state_guarantees(info: dict[str, Any], excerpt: Excerpt, largest_error: float) -> Guarantees:
    """State what a container promises.

    Args:
        info: as ``evaluation.info`` reports it.
        excerpt: by which the promise is checked.
        largest_error: of the valid values of the excerpt.
    """
    ((name, value),) = info["target"].items()
    bound = info["bound"]
    if bound == 0:
        headline, promise = "Lossless", "Every bit of every value comes back."
        is_kept: bool | None = excerpt.original.tobytes() == excerpt.decoded.tobytes()
    elif bound is not None:
        width = info["maximum"] - info["minimum"]
        share = f", {100 * bound / width:.3g} % of the range" if width > 0 else ""
        headline = f"Every voxel within ±{bound:.4g}"
        promise = f"No value differs from the original by more than {bound:.6g}{share}."
        is_kept = largest_error <= bound or not excerpt.valid.any()
    elif name == "pointwise_error":
        headline = f"Every voxel within {100 * value:.3g} % of itself"
        promise = (
            f"No value differs by more than {value:g} of its own magnitude; zeros and signs come back "
            "exactly."
        )
        is_kept = largest_pointwise_error(excerpt.original, excerpt.decoded, excerpt.valid) <= value
    else:
        asked = f"A PSNR of {value:g} dB was asked for" if name == "psnr" else "A step was asked for"
        headline, is_kept = "No bound on single voxels", None
        promise = (
            f"{asked}, which bounds the mean error and that of no single voxel. The largest error that "
            "occurs is in the table below; for a bound compress with --max-error or --relative-error."
        )
    return Guarantees(headline, (promise, *_further_promises(info, excerpt)), bound, is_kept)


def _further_promises(info: dict[str, Any], excerpt: Excerpt) -> list[str]:
    """State promises about single values, and about damage."""
    promises = []
    n_missing = excerpt.valid.size - int(np.count_nonzero(excerpt.valid))
    missing = [f"{value:g}" for value in info["fill_values"]]
    if n_missing or missing:
        named = f" (stated: {', '.join(missing)})" if missing else ""
        promises.append(
            f"NaN, infinities and missing values{named} come back exactly; {n_missing:,} of the values shown "
            "are such, are grey in the pictures, and count in no figure."
        )
    if "value_limits" in info:
        low, high = info["value_limits"]
        promises.append(f"No value decodes to less than {_limit(low)} or more than {_limit(high)}.")
    if "exact_values" in info:
        exact = ", ".join(f"{value:g}" for value in info["exact_values"])
        promises.append(f"Where the original is one of {exact}, it comes back exactly.")
    promises.append(
        "Each chunk states its largest error and has a checksum that covers its container and its place: "
        "what is damaged or changed is an error, not a wrong value. nvc verify checks all chunks."
    )
    return promises


def _limit(value: float | None) -> str:
    return "any number" if value is None else f"{value:g}"
