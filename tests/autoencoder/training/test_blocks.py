import numpy as np
import pytest

from nvc_jax.autoencoder.training.blocks import BlockArray, BlockWindows, load_blocks


def test_windows_are_taken_by_their_numbers() -> None:
    values = np.arange(5**3, dtype=np.float32).reshape(5, 5, 5)
    windows = BlockWindows(values, np.array([[0, 0, 0], [2, 1, 0]]), 3)
    taken = windows.take(np.array([1, 0, 1]))
    np.testing.assert_array_equal(taken[0], values[2:, 1:4, :3])
    np.testing.assert_array_equal(taken[1], values[:3, :3, :3])
    np.testing.assert_array_equal(taken[2], taken[0])


def test_an_array_of_blocks_has_regions() -> None:
    blocks = np.arange(1030 * 8, dtype=np.float32).reshape(1030, 2, 2, 2)
    array = BlockArray(blocks)
    assert array.counts.tolist() == [512, 512, 6]
    np.testing.assert_array_equal(array.read(2).take(np.array([5])), blocks[-1:])
    np.testing.assert_array_equal(load_blocks(array), blocks)


def test_blocks_of_the_wrong_shape_are_named() -> None:
    for shape in ((0, 4, 4, 4), (3, 4, 4), (3, 4, 4, 5)):
        with pytest.raises(ValueError, match="`blocks` has shape"):
            BlockArray(np.zeros(shape, np.float32))
