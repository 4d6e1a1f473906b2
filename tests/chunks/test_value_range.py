import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.chunks.special_values import valid_mask, valid_range
from nvc_jax.chunks.value_range import find_value_range


def ocean() -> np.ndarray:
    z, y, x = np.indices((12, 20, 30))
    return np.where(x > 14, np.sin(y / 5) + z, -1e10).astype(np.float32)


def fills(volume: np.ndarray) -> list[float]:
    whole = find_value_range([volume])
    # However it is cut.
    assert find_value_range([volume[:1], volume[1:2], volume[2:]]) == whole
    return list(whole.missing_values)


def test_fill_values_are_found() -> None:
    assert fills(ocean()) == [float(np.float32(-1e10))]
    both = ocean()
    both[:2] = 1e20
    assert sorted(fills(both)) == [float(np.float32(-1e10)), float(np.float32(1e20))]
    assert fills(np.where(ocean() < 0, -32768, 5).astype(np.int16)) == [-32768.0]


@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_values_near_the_others_are_no_fill_values(value: float) -> None:
    volume = np.random.default_rng(0).uniform(0, 1, (10, 10, 10)).astype(np.float32)
    volume[:5] = value
    assert fills(volume) == []
    assert fills(np.full((4, 4, 4), np.nan)) == []
    assert fills(np.full((4, 4, 4), 7)) == []


def test_rare_values_are_no_fill_values() -> None:
    volume = np.random.default_rng(0).uniform(0, 1, (10, 10, 10))
    volume[0, 0, :5] = 1e9
    assert fills(volume) == []


@given(
    hnp.arrays(
        st.sampled_from(["uint8", "int16", "float32", "float64"]),
        (6, 4, 5),
        elements=st.sampled_from([0, 1, 2, 3, 100]),
    ),
    st.lists(st.sampled_from([0.0, 3.0]), max_size=2, unique=True),
)
def test_the_range_is_that_of_what_is_ordinary(volume: np.ndarray, named: list[float]) -> None:
    found = find_value_range([volume[:2], volume[2:3], volume[3:]], named)
    assert found == find_value_range([volume], named)
    assert set(named) <= set(found.missing_values)
    assert (found.low, found.high) == valid_range(volume, valid_mask(volume, found.missing_values))


def test_what_is_not_finite_needs_not_be_named() -> None:
    volume = np.array([[[1.0, np.nan, np.inf, 2.0, 3.0, 4.0]]])
    assert find_value_range([volume], [np.nan, np.inf, 7.0]).missing_values == (7.0,)


def test_what_is_not_finite_does_not_count() -> None:
    volume = np.random.default_rng(0).uniform(2, 5, (8, 8, 8)).astype(np.float32)
    volume[2], volume[5, 5] = np.nan, np.inf
    found = find_value_range(iter(volume[:, None]))
    assert (found.low, found.high) == valid_range(volume, np.isfinite(volume))
    assert not found.missing_values
