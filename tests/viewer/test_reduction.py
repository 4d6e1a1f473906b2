import numpy as np
import pytest

from nvc_jax.viewer.reduction import choose_step, reduce_mean, take_nearest


def test_neither_side_has_more_pixels_than_asked_for() -> None:
    assert choose_step((100, 30), 100) == 1
    assert choose_step((101, 30), 100) == 2
    assert choose_step((1, 1001), 100) == 11


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_pixels_are_means_of_blocks(step: int) -> None:
    values = np.arange(35.0).reshape(5, 7)
    reduced = reduce_mean(values, step)
    assert reduced.shape == (-(-5 // step), -(-7 // step))
    assert reduced[0, 0] == values[:step, :step].mean()
    last = values[step * (reduced.shape[0] - 1) :, step * (reduced.shape[1] - 1) :]
    assert reduced[-1, -1] == pytest.approx(last.mean())


def test_missing_values_do_not_count() -> None:
    values = np.array([[1.0, np.nan, np.nan, np.nan], [np.nan, 3.0, np.nan, np.nan]])
    np.testing.assert_array_equal(reduce_mean(values, 2), [[2.0, np.nan]])


def test_labels_are_never_mixed() -> None:
    labels = np.array([[1, 1, 9, 9, 9], [1, 5, 9, 9, 7], [2, 2, 2, 2, 2]])
    assert set(take_nearest(labels, 2).reshape(-1)) <= {1, 2, 5, 7, 9}
    np.testing.assert_array_equal(take_nearest(labels, 2), [[5, 9, 7], [2, 2, 2]])
