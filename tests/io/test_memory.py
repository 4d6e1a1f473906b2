import gc
import weakref

import numpy as np

from nvc_jax.io.memory import array_of, wrap_array


def test_stores_tell_the_array_that_they_wrap() -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    store = wrap_array(array)
    assert array_of(store) is array
    np.testing.assert_array_equal(store.read().result(), array, strict=True)
    assert array_of(store[1:]) is None


def test_arrays_of_bool_are_not_told() -> None:
    assert array_of(wrap_array(np.ones((2, 3), bool))) is None


def test_arrays_are_dropped_with_their_stores() -> None:
    array = np.zeros((2, 3))
    dropped = weakref.ref(array)
    store = wrap_array(array)
    del array, store
    gc.collect()
    assert dropped() is None
