import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.dtypes import integer_limits
from nvc_jax.core.long_integers import (
    absolute_differences,
    add_offsets,
    fixed_point,
    from_means,
    from_multiples,
    nearest_multiples,
    offsets_from,
)

DTYPES = st.sampled_from([np.dtype(np.int64), np.dtype(np.uint64)])
ENDS = st.one_of(st.integers(0, 1000), st.integers(2**64 - 1000, 2**64 - 1), st.integers(0, 2**64 - 1))
"""Distances from the smallest value of a dtype."""
SPACINGS = st.one_of(st.integers(0, 20), st.integers(0, 2**55 - 1)).map(lambda half: 2 * half + 1)


def values_at(dtype: np.dtype, distances: list[int]) -> np.ndarray:
    return np.array([integer_limits(dtype)[0] + distance for distance in distances], dtype)


@given(DTYPES, st.lists(ENDS, min_size=1, max_size=9), SPACINGS, st.integers(0, 4))
def test_offsets_and_multiples_are_those_of_pythons_integers(
    dtype: np.dtype, distances: list[int], spacing: int, fraction_bits: int
) -> None:
    values = values_at(dtype, distances)
    low = int(values.min())
    exact = [int(value) - low for value in values]
    assert offsets_from(values, low).tolist() == exact
    if max(exact) // spacing < 2**58:
        nearest = nearest_multiples(values, low, spacing)
        assert nearest.tolist() == [(offset + spacing // 2) // spacing for offset in exact]
        fixed = fixed_point(values, low, spacing, fraction_bits)
        assert fixed.tolist() == [(offset << fraction_bits) // spacing for offset in exact]
        restored = from_multiples(nearest, 0, low, spacing, dtype)
        assert absolute_differences(values, restored).max() <= spacing // 2 + (spacing > 2**53)


@given(
    DTYPES,
    ENDS,
    SPACINGS,
    st.lists(st.one_of(st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=9),
    st.data(),
)
def test_sums_beyond_the_ends_become_the_ends(
    dtype: np.dtype, distance: int, spacing: int, multiples: list[int], data: st.DataObject
) -> None:
    smallest, largest = integer_limits(dtype)
    low = smallest + distance
    rests = [data.draw(st.integers(0, spacing)) for _ in multiples]
    sums = from_multiples(np.array(multiples), np.array(rests), low, spacing, dtype)
    exact = [low + multiple * spacing + rest for multiple, rest in zip(multiples, rests, strict=True)]
    assert sums.tolist() == [min(max(value, smallest), largest) for value in exact]
    offsets = add_offsets(np.array(multiples), low, dtype)
    assert offsets.tolist() == [min(max(low + multiple, smallest), largest) for multiple in multiples]


@given(DTYPES, st.lists(st.tuples(ENDS, ENDS), min_size=1, max_size=9))
def test_differences_are_rounded_up(dtype: np.dtype, pairs: list[tuple[int, int]]) -> None:
    first, second = (values_at(dtype, list(column)) for column in zip(*pairs, strict=True))
    for (a, b), difference in zip(pairs, absolute_differences(first, second).tolist(), strict=True):
        assert int(difference) >= abs(a - b) > int(np.nextafter(difference, -1)) or difference == a - b == 0


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_means_do_not_leave_the_dtype(dtype: str) -> None:
    kind = np.dtype(dtype)
    smallest, largest = integer_limits(kind)
    assert from_means(np.array([0.4, 2.0**64]), smallest, kind).tolist() == [smallest, largest]
    assert from_means(np.array([0.0, 4.6]), largest - 5, kind).tolist() == [largest - 5, largest]
