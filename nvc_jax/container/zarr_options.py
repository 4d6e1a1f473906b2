"""The codec by which zarr-python and xarray begin a container, from the user's options."""

import json
import math
from collections.abc import Sequence
from typing import Any

from nvc_jax.core.dtypes import as_number
from nvc_jax.core.optional_imports import import_extra


def zarr_codec(
    *, max_error: float | None = None, lossless: bool = False, missing_values: Sequence[float] = ()
) -> Any:
    """Make the codec by which zarr-python and xarray write a container: the ``serializer`` of an array.

    The array has no filters, no compressors (``compressors=None``) and no shards, and sides of its chunks
    that are multiples of 8. Each write is of whole chunks, unless the codec is lossless. The container is
    whole when every chunk was written. ``compress`` takes every target, shards and many sources, and its
    containers appear only when they are complete.

    Args:
        max_error: largest difference allowed for any voxel, in the volume's units.
        lossless: whether every bit comes back.
        missing_values: values that stand for no measurement, such as the ``_FillValue`` of the array; they
            come back exactly.

    Returns:
        A ``zarr.abc.codec.ArrayBytesCodec``.

    Raises:
        ModuleNotFoundError: zarr-python is not installed.
        ValueError: not one target was given, or ``max_error`` is negative or not finite.
    """
    import_extra("zarr", "zarr")
    from nvc_jax.container.zarr_codec import NvcCodec

    if (max_error is None) == (not lossless):
        raise ValueError(
            f"one of `max_error` (={max_error}) and `lossless` (={lossless}) must be given; other targets "
            "need the whole volume: use `nvc_jax.compress`"
        )
    if max_error is not None and not 0 <= float(max_error) < math.inf:
        raise ValueError(f"`max_error` (={max_error}) must be finite and not negative")
    target: dict[str, Any] = {"lossless": True} if lossless or max_error == 0 else {"max_error": max_error}
    return NvcCodec(json.dumps(target | {"fill_values": list(map(as_number, missing_values))}))
