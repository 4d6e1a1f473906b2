"""The rules of decoded values, as the package and the specification keep them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_decoder import keep_rules

from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.core.chunk_interfaces import ValueRange
from nvc_jax.core.dtypes import CODED_DTYPES, cast_values, float_limits


@given(
    st.sampled_from(CODED_DTYPES),
    st.lists(st.sampled_from([-9.0, -1.0, 0.0, 1.0, 2.0, 3.0, 7.0]), max_size=4, unique=True),
    st.booleans(),
)
def test_both_decoders_keep_the_same_rules(dtype: str, missing: list[float], has_limits: bool) -> None:
    kind = np.dtype(dtype)
    missing_values = cast_values(missing, kind)
    values = np.arange(12).astype(kind).reshape(2, 2, 3)
    value_range = ValueRange(0.0, 9.0, missing_values, value_limits=(0.0, 9.0 if has_limits else np.inf))
    configuration = {"range": [0, 9], "fill_values": missing_values, "value_limits": [0, None]}
    np.testing.assert_array_equal(
        DecodedRange(kind, value_range).enforce(values), keep_rules(values, configuration), strict=True
    )
    assert keep_rules(values, {}) is values


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("value", [0.0, -0.0, -1.0])
def test_both_decoders_leave_subnormal_numbers_out(dtype: str, value: float) -> None:
    missing = (value * float_limits(np.dtype(dtype))[2] if value < 0 else value,)
    values = np.full((1, 1, 2), missing[0], dtype)
    expected = keep_rules(values, {"range": [-1, 1], "fill_values": missing})
    rules = DecodedRange(np.dtype(dtype), ValueRange(-1.0, 1.0, missing))
    np.testing.assert_array_equal(rules.enforce(values), expected, strict=True)
