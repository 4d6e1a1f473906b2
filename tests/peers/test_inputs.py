import numpy as np
import pytest

from nvc_jax.peers.inputs import as_floats


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        *(("bool", "float32"), ("uint8", "float32"), ("int16", "float32"), ("int32", "float64")),
        *(("float16", "float32"), ("float32", "float32"), ("float64", "float64")),
    ],
)
def test_floats_hold_every_value(dtype: str, expected: str) -> None:
    values = np.array([[0, 1], [1, 0]], dtype)
    floats = as_floats(values)
    assert floats.dtype == expected
    np.testing.assert_array_equal(floats, values)


def test_the_mean_takes_the_place_of_missing_values() -> None:
    values = np.array([[1, 3], [np.nan, 1e30]], np.float32)
    floats = as_floats(values, np.array([[True, True], [False, False]]))
    np.testing.assert_array_equal(floats, [[1, 3], [2, 2]])
    assert not as_floats(values, np.zeros((2, 2), bool)).any()
