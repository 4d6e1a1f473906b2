import math

import numpy as np
import pytest

from nvc_jax.compression.value_options import check_exact_values, check_value_limits, check_within_limits
from nvc_jax.core.chunk_interfaces import NO_LIMITS, ValueRange


def test_missing_limits_are_infinite() -> None:
    assert check_value_limits(None) == check_value_limits((None, None)) == NO_LIMITS
    assert check_value_limits((0, None)) == (0.0, math.inf)
    assert check_value_limits((None, np.float32(2))) == (-math.inf, 2.0)
    assert check_value_limits([-1, 1]) == (-1.0, 1.0)


@pytest.mark.parametrize("limits", [(1, 0), (0,), (0, 1, 2), (math.nan, 1), (0, math.nan), (math.inf, None)])
def test_other_limits_are_refused(limits: tuple) -> None:
    with pytest.raises(ValueError, match=r"`value_limits` .* must be two ordered numbers"):
        check_value_limits(limits)


def test_values_beyond_the_limits_are_refused() -> None:
    check_within_limits(ValueRange(0.0, 1.0, value_limits=(0.0, 1.0)))
    check_within_limits(ValueRange(-3.0, 1.0))
    with pytest.raises(ValueError, match=r"`value_limits` \(=0, inf\) do not hold .* from -3.0 to 1.0"):
        check_within_limits(ValueRange(-3.0, 1.0, value_limits=(0.0, math.inf)))


def test_exact_values_are_cast_to_the_dtype() -> None:
    assert check_exact_values([0, 0.1, 1e300], np.dtype(np.float32)) == (0.0, float(np.float32(0.1)))
    assert check_exact_values([0, 0.5, 256], np.dtype(np.uint8)) == (0.0,)
    with pytest.raises(ValueError, match="`exact_values` holds 17 values; at most 16"):
        check_exact_values(range(17), np.dtype(np.uint8))
