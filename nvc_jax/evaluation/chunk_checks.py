"""Checks of a decoded chunk: against its original, the container's bound, and the error that it states."""

import numpy as np

from nvc_jax.chunks.special_values import bit_patterns
from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import ChunkIndex
from nvc_jax.core.dtypes import ignoring_nan, is_float
from nvc_jax.core.errors import largest_error, largest_pointwise_error
from nvc_jax.core.valid_values import valid_mask

_ARITHMETIC = 2.0**-12
"""Share of the range by which decoders on other devices may differ, generously: FORMAT.md, section 17."""


def mark_valid(values: np.ndarray, metadata: ContainerMetadata) -> np.ndarray:
    """Mark the values that are valid by the rules of a container."""
    return valid_mask(values, metadata.missing_values, metadata.valid_limits)


def check_chunk(
    reader: Reader, index: ChunkIndex, original: np.ndarray, decoded: np.ndarray
) -> tuple[float, float]:
    """Compare a decoded chunk with its original and return the largest error of its valid values.

    Returns:
        The error in the volume's units, and relative to each value's magnitude; the latter is 0 where the
        container has no pointwise bound.

    Raises:
        FormatError: the error exceeds the bound of the container, a value that must come back exactly (any
            that is not valid; every one if the container is lossless) differs, or a valid value became one
            that is missing or beyond the limits that the user set.
    """
    with ignoring_nan(original.dtype):
        return _check_values(reader, index, original, decoded)


def _check_values(
    reader: Reader, index: ChunkIndex, original: np.ndarray, decoded: np.ndarray
) -> tuple[float, float]:
    metadata = reader.metadata
    valid = mark_valid(original, metadata)
    is_exact = np.ones_like(valid) if metadata.max_error == 0 else ~valid
    zeros = () if metadata.pointwise_error is None else (0.0,)
    if exact_values := metadata.exact_values + zeros:
        is_exact |= np.isin(original, np.array(exact_values, original.dtype))
    if (bit_patterns(original)[is_exact] != bit_patterns(decoded)[is_exact]).any():
        raise FormatError(f"chunk {index} of `{reader.store.name}` does not restore every value exactly")
    if metadata.value_range.is_strict:
        kept = mark_valid(decoded, metadata) & valid_mask(decoded, (), metadata.value_limits)
        if not kept[valid].all():
            raise FormatError(
                f"chunk {index} of `{reader.store.name}` turns valid values into missing ones, or "
                "takes them beyond the limits"
            )

    error = largest_error(original, decoded, valid)
    if metadata.max_error is not None and not error <= metadata.max_error:
        raise FormatError(
            f"chunk {index} of `{reader.store.name}` is wrong by {error}; the bound is {metadata.max_error}"
        )
    if metadata.pointwise_error is None:
        return error, 0.0
    pointwise = largest_pointwise_error(original, decoded, valid)
    if not pointwise <= metadata.pointwise_error:
        raise FormatError(
            f"chunk {index} of `{reader.store.name}` is wrong by {pointwise} of a value; the bound is "
            f"{metadata.pointwise_error}"
        )
    return error, pointwise


def check_stated_error(reader: Reader, index: ChunkIndex, stated: float, measured: float) -> None:
    """Raise ``FormatError`` unless a chunk states the error that was measured, up to other arithmetic."""
    metadata = reader.metadata
    largest = max(abs(metadata.minimum), abs(metadata.maximum))
    tolerance = (metadata.maximum - metadata.minimum) * _ARITHMETIC + largest * float(
        np.finfo(np.float32).eps
    )
    if not is_float(reader.dtype):
        tolerance += 1.0  # a value halfway between two integers may be rounded to either
    if not abs(measured - stated) <= tolerance:
        raise FormatError(
            f"chunk {index} of `{reader.store.name}` states a largest error of {stated}, but it is "
            f"{measured}: the original is another volume, or the container was changed"
        )
