import numpy as np
import pytest

from nvc_jax.core.neighbours import count_equal, count_pairs


@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 1, 1), (4, 1, 3), (3, 4, 1), (6,)])
@pytest.mark.parametrize("is_contiguous", [True, False])
def test_equal_neighbours_are_counted_along_each_axis(shape: tuple[int, ...], is_contiguous: bool) -> None:
    values = np.random.default_rng(0).integers(0, 2, shape, np.uint8)
    values = values if is_contiguous else values.T
    for axis, side in enumerate(values.shape):
        pairs = [(values.take(i, axis), values.take(i + 1, axis)) for i in range(side - 1)]
        expected = sum(np.count_nonzero(first == second) for first, second in pairs)
        assert count_equal(values, axis) == expected
        assert count_pairs(values, axis) == sum(first.size for first, _ in pairs)
