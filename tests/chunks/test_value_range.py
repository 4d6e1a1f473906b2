import zlib

import numpy as np
import pytest
import tensorstore as ts
from example_chunks import ocean
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.chunks.special_values import valid_range
from nvc_jax.chunks.value_range import ValueCounts, find_value_range, has_valid_values, scan_regions
from nvc_jax.core.chunk_interfaces import ValueRange
from nvc_jax.core.valid_values import valid_mask


def missing_values_of(volume: np.ndarray) -> list[float]:
    """Missing values that are found: the same, however the volume is cut."""
    value_range = find_value_range([volume])
    assert find_value_range([volume[:1], volume[1:2], volume[2:]]) == value_range
    return list(value_range.missing_values)


def test_missing_values_are_found() -> None:
    assert missing_values_of(ocean()) == [float(np.float32(-1e10))]
    both = ocean()
    both[:2] = 1e20
    assert sorted(missing_values_of(both)) == [float(np.float32(-1e10)), float(np.float32(1e20))]
    counts = np.arange(ocean().size).reshape(ocean().shape) % 9
    assert missing_values_of(np.where(ocean() < 0, -32768, counts).astype(np.int16)) == [-32768.0]


@pytest.mark.parametrize("levels", [[0, 255], [0, 1, 255], [0, 1, 2, 3, 250]])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64"])
def test_few_levels_of_integers_are_no_missing_values(dtype: str, levels: list[int]) -> None:
    volume = np.array(levels, dtype)[np.random.default_rng(0).integers(0, len(levels), (10, 10, 10))]
    assert missing_values_of(volume) == []


@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_values_near_the_others_are_not_missing(value: float) -> None:
    volume = np.random.default_rng(0).uniform(0, 1, (10, 10, 10)).astype(np.float32)
    volume[:5] = value
    assert missing_values_of(volume) == []
    assert missing_values_of(np.full((4, 4, 4), np.nan)) == []
    assert missing_values_of(np.full((4, 4, 4), 7)) == []


def test_rare_values_are_not_missing() -> None:
    volume = np.random.default_rng(0).uniform(0, 1, (10, 10, 10))
    volume[0, 0, :5] = 1e9
    assert missing_values_of(volume) == []


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["uint8", "bool", "int64", "uint64", "float16", "float32"]),
    st.sampled_from([1.5, 4.0, 100.0]),
)
def test_values_at_both_ends_are_counted(seed: int, dtype: str, spread: float) -> None:
    rng = np.random.default_rng(seed)
    parts = [np.rint(np.abs(rng.normal(0, spread, (6, 40, 5)))).astype(dtype) for _ in range(5)]
    counts = ValueCounts()
    for part in parts:
        counts.add(part)
    values, numbers = np.unique(np.stack(parts), return_counts=True)
    every = dict(zip(values.tolist(), numbers.tolist(), strict=True))
    assert counts.lowest == dict(sorted(every.items())[:3])
    assert counts.highest == dict(sorted(every.items())[-3:])


@given(
    hnp.arrays(
        st.sampled_from(["uint8", "int16", "float32", "float64"]),
        (6, 4, 5),
        elements=st.sampled_from([0, 1, 2, 3, 100]),
    ),
    st.lists(st.sampled_from([0.0, 3.0]), max_size=2, unique=True),
)
def test_the_range_is_that_of_the_valid_values(volume: np.ndarray, declared: list[float]) -> None:
    value_range = find_value_range([volume[:2], volume[2:3], volume[3:]], declared)
    assert value_range == find_value_range([volume], declared)
    assert set(declared) <= set(value_range.missing_values)
    valid = valid_mask(volume, value_range.missing_values)
    assert (value_range.low, value_range.high) == valid_range(volume, valid)


def test_values_that_are_not_finite_need_not_be_declared() -> None:
    volume = np.array([[[1.0, np.nan, np.inf, 2.0, 3.0, 4.0]]])
    assert find_value_range([volume], [np.nan, np.inf, 7.0]).missing_values == (7.0,)


def test_values_that_are_not_finite_do_not_count() -> None:
    volume = np.random.default_rng(0).uniform(2, 5, (8, 8, 8)).astype(np.float32)
    volume[2], volume[5, 5] = np.nan, np.inf
    value_range = find_value_range(iter(volume[:, None]))
    assert (value_range.low, value_range.high) == valid_range(volume, np.isfinite(volume))
    assert not value_range.missing_values


def test_pieces_are_no_smaller_than_chunks() -> None:
    volume, chunk = np.arange(8 * 12 * 10).reshape(8, 12, 10), (4, 4, 5)
    regions = scan_regions(volume.shape, chunk, least_side=1)
    assert len(regions) == 2 * 3 * 2
    assert sorted(np.concatenate([volume[region].ravel() for region in regions])) == list(range(960))
    assert scan_regions(volume.shape, chunk) == [(slice(0, 8), slice(0, 12), slice(0, 10))]


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64", "bool"])
def test_counts_of_parts_make_those_of_the_whole(dtype: str) -> None:
    rng = np.random.default_rng(0)
    values = [rng.integers(0, n, 300).astype(dtype) for n in (2, 5, 9, 100)]
    values[1][:40] = np.array(99).astype(dtype)
    for parts in (values, values[::-1], values[:1], [*values[2:], values[0]]):
        together, merged = ValueCounts(), ValueCounts()
        for part in parts:
            together.add(part)
            own = ValueCounts()
            own.add(part[:100])
            own.merge(ValueCounts())
            other = ValueCounts()
            other.add(part[100:])
            merged.merge(own)
            merged.merge(other)
        assert merged == together
        assert merged.to_value_range() == find_value_range(parts)


def test_values_beyond_declared_limits_are_missing() -> None:
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    assert find_value_range([volume], [7], (3.0, 20.0)) == ValueRange(3.0, 20.0, (7.0,), (3.0, 20.0))
    assert find_value_range([volume], (), (30.0, 40.0)) == ValueRange(0.0, 0.0, (), (30.0, 40.0))


def test_volumes_of_zeros_have_values_and_others_may_have_none() -> None:
    chunk = (2, 3, 4)
    for value, missing_values, expected in ((0, (), True), (0, (0.0,), False), (-9, (-9.0,), False)):
        volume = np.full(chunk, value, np.float32)
        value_range = find_value_range([volume], missing_values)
        assert has_valid_values(ts.array(volume), chunk, value_range) == expected


@pytest.mark.parametrize("dtype", ["float32", "uint8", "float64"])
def test_one_pass_counts_values_and_finds_checksums(dtype: str) -> None:
    part = np.random.default_rng(0).integers(0, 9, (6, 5, 300)).astype(dtype)
    chunks = [(slice(0, 6), slice(0, 5), slice(start, start + 150)) for start in (0, 150)]
    expected, counts = ValueCounts(), ValueCounts()
    expected.add(part, [0.0], (-5.0, 7.0))
    checksums = counts.add_with_checksums(part, chunks, [0.0], (-5.0, 7.0))
    assert checksums == [zlib.crc32(part[chunk].tobytes()) for chunk in chunks]
    assert counts == expected
