import jax
import numpy as np
import pytest

from nvc_jax.core.aligned import aligned_zeros


@pytest.mark.parametrize("shape", [7, (3, 5), (2, 0)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32, bool])
def test_arrays_are_zeros_that_begin_at_a_multiple_of_64_bytes(
    shape: int | tuple[int, ...], dtype: type
) -> None:
    array = aligned_zeros(shape, dtype)
    assert array.size == 0 or array.ctypes.data % 64 == 0
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, np.zeros(shape, dtype))


def test_jax_shares_their_memory() -> None:
    array = aligned_zeros(1000, np.float32)
    on_device = jax.device_put(array, jax.devices("cpu")[0])
    assert on_device.unsafe_buffer_pointer() == array.ctypes.data
