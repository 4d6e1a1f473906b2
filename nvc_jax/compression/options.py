"""Options of ``compress``, checked before any work is spent: quality target, source, part, types."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.compression.layout import check_integers
from nvc_jax.container.metadata import METADATA_KEY
from nvc_jax.container.store import open_container
from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.core.chunk_interfaces import QualityTarget
from nvc_jax.core.dtypes import is_scalar
from nvc_jax.io.locations import local_path
from nvc_jax.io.paths import check_location
from nvc_jax.io.selection import unselected
from nvc_jax.models.codec import Codec

_PSNR_LIMITS = (10, 90)
"""PSNR in dB that can be asked for: below, nothing is left of a volume; above, float32 rounding limits it."""


def check_target(codec: Codec, **options: Any) -> QualityTarget:
    """Check the quality target and return it as one entry.

    Args:
        codec: the codec that is to keep it.
        options: ``max_error``, ``relative_error``, ``pointwise_error``, ``psnr``, ``step``, ``lossless``;
            None or False for those that were not given.

    Raises:
        TypeError: one is no number.
        ValueError: more than one was given, or it is out of range, or the model cannot keep it.
    """
    given = {key: value for key, value in options.items() if value is not None and value is not False}
    target = {key: _check_number(key, value) for key, value in given.items()}
    if len(target) > 1:
        raise ValueError(
            f"{' and '.join(f'`{key}` (={v})' for key, v in target.items())} exclude each other: "
            "give one of them"
        )
    model = codec.model
    if not target:
        return dict(model.default_target)

    ((name, value),) = target.items()
    if name in ("max_error", "relative_error") and not 0 <= value < math.inf:
        raise ValueError(
            f"`{name}` (={value}) must be finite and not negative; without a bound, give a `step` or a `psnr`"
        )
    if name == "pointwise_error" and not 0 < value < 1:
        raise ValueError(
            f"`pointwise_error` (={value}) must be above 0 and below 1, a share of each value's magnitude; "
            "for no error at all take `lossless`"
        )
    if name == "psnr" and not _PSNR_LIMITS[0] <= value <= _PSNR_LIMITS[1]:
        raise ValueError(
            f"`psnr` (={value}) must lie between {_PSNR_LIMITS[0]} and {_PSNR_LIMITS[1]} dB; for a closer "
            "copy, give a `max_error` or `lossless`"
        )
    if name == "step":
        model.check_step(value)
    if name not in model.quality_targets:
        raise ValueError(
            f"`{name}` (={value}) needs a spectral model: leave `model` out, or name one such as "
            f"{DEFAULT_MODEL}"
        )
    return target


def _check_number(name: str, value: Any) -> float | bool:
    """Turn an option into a float, or leave it as it is if it is true and may be.

    Raises:
        TypeError: it is no number.
    """
    if name == "lossless" and value is True:
        return value
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    is_number = is_integer or is_scalar(value)
    if name == "lossless" or not is_number:
        rule = "True or False" if name == "lossless" else "a number"
        raise TypeError(f"`{name}` (={value!r:.80}) must be {rule}, not {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    # A bound that float64 does not hold becomes the next smaller one.
    is_above = name == "max_error" and is_integer and math.isfinite(number) and number > int(value)
    return math.nextafter(number, 0) if is_above else number


def check_source(source: Any) -> None:
    """Raise ``ValueError`` if the path of a source is that of a container."""
    source = unselected(source)
    if not isinstance(source, str | Path):
        return
    path = local_path(source)
    if path is None or not ((path / METADATA_KEY).is_file() or (path.suffix == ".zip" and path.is_file())):
        return
    try:
        open_container(path)
    except ValueError:
        return
    raise ValueError(
        f"`source` (={source}) is a container, compressed already: decompress it first, or open it by "
        "`nvc_jax.open` and compress what that returns"
    )


def check_types(locations: Mapping[str, Any], on_progress: Any, **switches: Any) -> None:
    """Raise ``TypeError``, which names the argument, if an argument is of a wrong type.

    Args:
        locations: of containers or files, by the names of the arguments.
        on_progress: a function or None.
        switches: true or false; any text, such as ``"no"``, would count as true.
    """
    for name, location in locations.items():
        check_location(location, name)
    for name, value in switches.items():
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"`{name}` (={value!r:.80}) must be True or False, not {type(value).__name__}")
    if on_progress is not None and not callable(on_progress):
        raise TypeError(f"`on_progress` (={on_progress!r:.80}) must be a function, or None")


def check_part(part: tuple[int, int]) -> None:
    """Raise ``ValueError`` unless ``part`` names one of several writers."""
    check_integers("part", part)
    if len(part) != 2 or not 0 <= part[0] < part[1]:
        raise ValueError(
            f"`part` (={part}) must be the number of a writer from 0 on, and how many there are, "
            "such as (0, 2)"
        )


def model_name(model: str | Path | Codec) -> str:
    """Name of the model in a container's metadata."""
    return "custom" if isinstance(model, Codec) else Path(model).name
