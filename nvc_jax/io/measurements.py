"""Volumes to learn from: every value that stands for no measurement is NaN."""

from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.chunk_interfaces import NO_LIMITS
from nvc_jax.core.valid_values import valid_mask
from nvc_jax.io.declared_values import DeclaredValues, read_declared_values
from nvc_jax.io.lazy import Index, lazy_store
from nvc_jax.io.volumes import open_steps, read_metadata


def open_measurements(source: Any) -> list[ts.TensorStore]:
    """Open the volumes of three axes that a source holds, one for each time and channel.

    Args:
        source: a volume as for ``open_volume``, whose errors this function raises.

    Returns:
        Stores of the source's dtype; of float32, or float64 where that does not hold all values, with NaN in
        place of missing values and of values beyond the limits, if the source declares any.
    """
    stores, metadata = open_steps(source), read_metadata(source)
    dtype = stores[0].dtype.numpy_dtype
    declared = read_declared_values(metadata.attributes, metadata.missing_values, dtype)
    if declared == DeclaredValues((), NO_LIMITS):
        return stores
    return [_with_gaps(store, declared) for store in stores]


def _with_gaps(store: ts.TensorStore, declared: DeclaredValues) -> ts.TensorStore:
    """Make a store of floats, with NaN where values are not valid."""
    dtype = np.result_type(store.dtype.numpy_dtype, np.float32)

    def read(index: Index) -> np.ndarray:
        values = store[index].read().result()
        valid = valid_mask(values, *declared)
        return np.where(valid, values.astype(dtype), dtype.type(np.nan))

    return lazy_store(read, store.shape, dtype, "volumes")
