import numpy as np
import pytest

from nvc_jax.compression.coarsening import halve_by_means, halve_by_mode, halved


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "uint64"])
def test_values_are_means_of_blocks(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 200, (4, 6, 8)).astype(dtype)
    coarse = halve_by_means(values, [0, 1, 2])
    means = values.reshape(2, 2, 3, 2, 4, 2).astype(np.float64).mean((1, 3, 5))
    assert coarse.dtype == values.dtype
    tolerance = 0.5 if np.dtype(dtype).kind in "iu" else 1e-4
    np.testing.assert_allclose(coarse.astype(np.float64), means, atol=tolerance)


def test_odd_sides_and_other_axes_are_kept() -> None:
    values = np.arange(30.0).reshape(2, 3, 5)
    coarse = halve_by_means(values, [1, 2])
    assert coarse.shape == halved(values.shape, [1, 2]) == (2, 2, 3)
    assert coarse[1, 1, 2] == values[1, 2, 4]
    assert coarse[0, 0, 0] == values[0, :2, :2].mean()


def test_missing_values_do_not_count_and_none_arises() -> None:
    plane = np.array([[1.0, np.nan, np.nan, -9], [3.0, -9, np.nan, np.nan]])
    np.testing.assert_array_equal(halve_by_means(plane, [0, 1], [-9.0]), [[2.0, np.nan]])
    around = np.array([[-10, -8]], np.int16)  # whose mean is missing
    np.testing.assert_array_equal(halve_by_means(around, [1], [-9]), [[-10]])
    np.testing.assert_array_equal(halve_by_means(np.float32([[5, 900]]), [1], [], (0, 100)), [[5]])


def test_large_values_do_not_overflow() -> None:
    largest = np.finfo(np.float64).max
    np.testing.assert_array_equal(halve_by_means(np.full((2, 2), largest), [0, 1]), [[largest]])
    ends = np.full((2, 2), np.iinfo(np.uint64).max, np.uint64)
    assert halve_by_means(ends, [0, 1])[0, 0] >= 2**64 - 2**12


def test_labels_are_the_most_frequent_ones() -> None:
    labels = np.array([[1, 7, 5, 5], [7, 9, 5, 2], [3, 3, 4, 8]])
    np.testing.assert_array_equal(halve_by_mode(labels, [0, 1]), [[7, 5], [3, 4]])
    np.testing.assert_array_equal(halve_by_mode(np.array([[True, True], [True, False]]), [0, 1]), [[True]])
