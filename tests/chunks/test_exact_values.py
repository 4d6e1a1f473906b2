import numpy as np
import pytest
from example_chunks import smooth_values

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.exact_values import find_exact_values, without_exact_values
from nvc_jax.chunks.special_values import bit_patterns


def cut_off(dtype: str) -> np.ndarray:
    """Values between 0.3 and 0.7 (30 and 70 if integers), and others in place of small and large ones."""
    smooth = smooth_values()
    values = np.select([smooth < 0.4, smooth > 0.6], [0, 1], 0.3 + 0.4 * smooth)
    return values.astype(dtype) if dtype.startswith("f") else np.rint(100 * values).astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int16"])
def test_values_at_which_a_chunk_is_cut_off_are_found(dtype: str) -> None:
    values = cut_off(dtype)
    chunk = ChunkValues.examine(values, ())
    patterns = find_exact_values(chunk).patterns
    ends = [values.min(), values.max()]
    assert sorted(patterns.view(dtype).tolist()) == ends
    rest = without_exact_values(chunk, patterns)
    np.testing.assert_array_equal(rest.valid, (values > ends[0]) & (values < ends[1]))
    assert rest.low > ends[0]
    assert rest.high < ends[1]


def test_smooth_values_have_no_exact_ones() -> None:
    for values in (smooth_values(), np.rint(10 * smooth_values()).astype(np.int16)):
        assert find_exact_values(ChunkValues.examine(values, ())).patterns.size == 0


def test_values_that_others_run_into_smoothly_are_no_exact_ones() -> None:
    values = np.clip(3 * smooth_values() - 1, 0, 1)
    assert find_exact_values(ChunkValues.examine(values, ())).patterns.size == 0


def test_special_values_are_no_exact_ones() -> None:
    values = smooth_values().astype(np.float32)
    values[:9], values[9:15, :, :20] = np.nan, -9
    chunk = ChunkValues.examine(values, (-9.0,))
    assert find_exact_values(chunk).patterns.size == 0
    everything = ChunkValues.examine(np.full((4, 4, 4), np.nan), ())
    assert find_exact_values(everything).patterns.size == 0


def test_zeros_of_both_signs_are_told_apart() -> None:
    values = smooth_values().astype(np.float32)
    values[:4], values[4:8] = 0, -0.0
    chunk = ChunkValues.examine(values, ())
    patterns = find_exact_values(chunk).patterns
    assert set(patterns.tolist()) <= set(bit_patterns(np.array([0, -0.0], np.float32)).tolist())
    kept = without_exact_values(chunk, patterns[:1]).valid
    zeros = np.array([0, -0.0], np.float32)
    is_first = bit_patterns(values) == patterns[0]
    np.testing.assert_array_equal(kept, ~is_first)
    assert 0 < np.count_nonzero(is_first) < np.count_nonzero(values == zeros[0])


def test_jumps_beyond_float64_are_no_error() -> None:
    values = smooth_values()
    values[:9], values[15:] = 1.7e308, -1.7e308
    values[9:15:2] *= -1.6e308
    assert find_exact_values(ChunkValues.examine(values, ())).patterns.size <= 2
