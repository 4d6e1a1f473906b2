import numpy as np
import pytest

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.sampled_values import draw_values, find_peaks, has_more_different
from nvc_jax.chunks.special_values import bit_patterns

DTYPES = ["float16", "float32", "float64", "bfloat16", "uint8", "int32"]


def examine(dtype: str) -> ChunkValues:
    """A chunk of 101 values, of which 20 and above all 50 are frequent; a tenth of its values is missing."""
    values = np.arange(30**3).reshape(30, 30, 30) % 101
    values[values % 5 == 3], values[values % 9 == 2] = 50, 20
    values[:3] = 100
    return ChunkValues.examine(values.astype(np.dtype(dtype)), (100.0,))


@pytest.mark.parametrize("dtype", DTYPES)
def test_frequent_values_are_found(dtype: str) -> None:
    chunk = examine(dtype)
    patterns = find_peaks(chunk, 5000, share=0.05, ratio=4.0)
    np.testing.assert_array_equal(patterns, bit_patterns(np.array([20, 50]).astype(dtype)))
    np.testing.assert_array_equal(find_peaks(chunk, 5000, share=0.15, ratio=4.0), patterns[1:])
    assert find_peaks(chunk, 5000, share=0.05, ratio=100.0).size == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_different_values_are_counted_up_to_a_number(dtype: str) -> None:
    chunk = examine(dtype)
    n = len(np.unique(chunk.values[chunk.valid]))
    assert has_more_different(chunk, 30**3, n - 1)
    assert not has_more_different(chunk, 30**3, n)
    assert not has_more_different(chunk, 10, 10)


def test_samples_have_valid_values_alone() -> None:
    chunk = examine("float32")
    assert draw_values(chunk, 10**6).size == chunk.n_valid
    sample = draw_values(chunk, 1000)
    assert 850 < sample.size < 950
    assert (sample != 100).all()


def test_of_both_zeros_the_more_frequent_one_is_found() -> None:
    for dtype in ("float16", "float32", "float64"):
        values = np.arange(1, 1001).reshape(10, 10, 10).astype(dtype)
        values[:3], values[3:4] = -0.0, 0.0
        patterns = find_peaks(ChunkValues.examine(values), 1000, share=0.1, ratio=4.0)
        assert np.signbit(patterns.view(dtype)).tolist() == [True]
