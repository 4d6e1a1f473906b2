"""Stores over arrays in memory, and the array of such a store: TensorStore itself only gives copies."""

import weakref

import numpy as np
import tensorstore as ts

_ARRAYS: weakref.WeakKeyDictionary[ts.TensorStore, np.ndarray] = weakref.WeakKeyDictionary()


def wrap_array(array: np.ndarray) -> ts.TensorStore:
    """Wrap an array of the native byte order as a store, from which ``array_of`` tells it."""
    store = ts.array(array)
    if array.dtype != np.bool_:  # of which a true value need not be the byte 1
        _ARRAYS[store] = array
    return store


def array_of(store: ts.TensorStore) -> np.ndarray | None:
    """Get the array that a store wraps, which must not be changed; None for a view of such a store, too."""
    return _ARRAYS.get(store)
