from collections.abc import Callable

import jax
import numpy as np
import pytest

from nvc_jax.core.aligned_arrays import empty_aligned, is_aligned, sparse_zeros, zeros_aligned


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((5, 3), np.int32), ((7,), np.uint16), ((2, 3, 1), np.bool_), ((9, 1 << 18), np.float32)],
)
@pytest.mark.parametrize("make", [zeros_aligned, sparse_zeros])
def test_arrays_of_zeros_are_aligned(
    make: Callable[..., np.ndarray], shape: tuple[int, ...], dtype: type
) -> None:
    made = make(shape, dtype)
    assert (made.shape, made.dtype, made.flags.writeable) == (shape, dtype, True)
    assert is_aligned(made)
    assert not made.any()


def test_arrays_without_values_are_aligned() -> None:
    made = empty_aligned((5, 3), np.float32)
    assert made.shape == (5, 3)
    assert made.dtype == np.float32
    assert made.flags.writeable
    assert is_aligned(made)


def test_other_arrays_are_not_aligned() -> None:
    made = zeros_aligned((8, 32), np.int32)
    assert [is_aligned(view) for view in (made[0, 1:], made.T, made[1:])] == [False, False, True]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other devices have a memory of their own")
def test_jax_takes_aligned_arrays_without_a_copy() -> None:
    made = zeros_aligned((8, 32), np.int32)
    assert jax.device_put(made).unsafe_buffer_pointer() == made.ctypes.data
