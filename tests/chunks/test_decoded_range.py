import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.core.chunk_interfaces import ValueRange
from nvc_jax.core.dtypes import CODED_DTYPES, cast_values, number_of


@given(
    st.sampled_from(CODED_DTYPES),
    st.lists(st.sampled_from([-7, -1, 0, 1, 2, 3, 99]), max_size=4, unique=True),
)
def test_no_decoded_value_is_missing_or_beyond_the_range(dtype: str, missing_values: list[float]) -> None:
    kind = np.dtype(dtype)
    missing = cast_values(missing_values, kind)
    valid = [value for value in (0, 1, 2, 3, 4, 5) if value not in missing]
    value_range = ValueRange(float(min(valid)), float(max(valid)), missing)
    decoded = np.arange(0, 12).astype(kind).reshape(1, 3, 4)
    enforced = DecodedRange(kind, value_range).enforce(decoded)
    assert enforced.dtype == kind
    assert min(valid) <= enforced.min() <= enforced.max() <= max(valid)
    assert not np.isin(enforced, missing).any()
    kept = np.isin(decoded, valid)
    np.testing.assert_array_equal(enforced[kept], decoded[kept])


def test_values_with_known_limits_are_not_looked_at_in_vain() -> None:
    decoded = np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, :, 1:]
    rules = DecodedRange(np.dtype(np.float32), ValueRange(1.0, 20.0))
    assert rules.enforce(decoded, (1.0, 20.0)) is decoded
    assert rules.enforce(decoded, (1.0, 23.0)).max() == rules.enforce(decoded).max() == 20
    with_missing_value = DecodedRange(np.dtype(np.float32), ValueRange(1.0, 23.0, (5.0,)))
    assert 5 not in with_missing_value.enforce(decoded, (1.0, 23.0))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_zero_becomes_the_smallest_normal_number(dtype: str) -> None:
    tiny = np.finfo(dtype).tiny
    for value, low, high, expected in [(0.0, -1, 1, tiny), (-tiny, -1, 1, 0), (0.0, -1, tiny / 2, tiny / 2)]:
        rules = DecodedRange(np.dtype(dtype), ValueRange(low, float(high), (float(value),)))
        assert rules.enforce(np.full((1, 1, 1), value, dtype))[0, 0, 0] == expected


def test_values_that_a_move_takes_beyond_the_bound_are_found() -> None:
    rules = DecodedRange(np.dtype(np.int16), ValueRange(-9.0, 9.0, (0.0,)))
    values = np.array([[[-2, -1, 2, 5]]], np.int16)
    enforced = rules.enforce(np.array([[[0, 0, 0, 5]]], np.int16))
    np.testing.assert_array_equal(enforced, [[[1, 1, 1, 5]]])
    np.testing.assert_array_equal(
        rules.find_broken(values, enforced, 2.0, 0.0), [[[True, False, False, False]]]
    )
    assert rules.find_broken(values, enforced, 3.0, 0.0) is None
    assert rules.find_broken(values, enforced, None, 0.0) is None
    # On another device −1 may round to 0, which becomes 1.
    close = np.array([[[-2, -1, 2, -1]]], np.int16)
    there = np.array([[[-3, -3, 2, -1]]], np.int16)
    found = rules.find_broken(there, close, 2.0, 1e-3)
    np.testing.assert_array_equal(found, [[[False, True, False, False]]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_signs_of_zeros_stay(dtype: str) -> None:
    zeros = np.array([0.0, -0.0] * 24, dtype).reshape(2, 3, 8)
    for value_range in (
        ValueRange(0.0, 1.0, (-9.0,)),
        ValueRange(-1.0, 0.0, (9.0,)),
        ValueRange(0.0, 0.0, (9.0,)),
    ):
        enforced = DecodedRange(np.dtype(dtype), value_range).enforce(zeros)
        np.testing.assert_array_equal(np.signbit(enforced), np.signbit(zeros))


@pytest.mark.parametrize("dtype", CODED_DTYPES)
def test_values_are_clipped_to_the_range(dtype: str) -> None:
    kind = np.dtype(dtype)
    high = np.finfo(kind).max if kind.kind == "f" else kind.type(100)
    rules = DecodedRange(kind, ValueRange(2.0, number_of(high)))
    beyond = np.array([[[1, 2, 100]]], kind)
    np.testing.assert_array_equal(rules.enforce(beyond), np.array([[[2, 2, 100]]], kind), strict=True)
    assert DecodedRange(kind, None).enforce(beyond) is beyond


def test_values_within_the_range_are_not_copied() -> None:
    values = np.array([[[0.0, 0.25, 1.0]]], np.float32)
    assert DecodedRange(values.dtype, ValueRange(0.0, 1.0)).enforce(values) is values


def test_values_beside_nan_are_clipped() -> None:
    values = np.array([[[np.nan, -0.5, 0.25, 1.5]]], np.float32)
    enforced = DecodedRange(values.dtype, ValueRange(0.0, 1.0)).enforce(values)
    np.testing.assert_array_equal(enforced, [[[np.nan, 0, 0.25, 1]]])


def test_ranges_that_the_dtype_does_not_hold_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the range \[0.0, 1000.0\] is not one of uint8"):
        DecodedRange(np.dtype(np.uint8), ValueRange(0.0, 1000.0, (3.0,)))


def test_limits_are_the_range_unless_there_are_other_rules() -> None:
    kind = np.dtype(np.float32)
    assert DecodedRange(kind, None).limits == (-np.inf, np.inf)
    assert DecodedRange(kind, ValueRange(-1.0, 2.0, (5.0,))).limits == (-1.0, 2.0)
    assert DecodedRange(kind, ValueRange(-1.0, 2.0, (0.5,))).limits is None
