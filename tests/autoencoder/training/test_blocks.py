from pathlib import Path

import jax
import numpy as np
import pytest

from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.training.blocks import BlockBatches, block_batches

MODEL = DenseConfig(block_size=4, margin=0)


def test_blocks_are_scaled_to_the_unit_range_and_know_their_volumes(tmp_path: Path) -> None:
    volume = np.arange(8 * 4 * 4, dtype=np.float32).reshape(8, 4, 4) - 50
    np.save(tmp_path / "v.npy", volume)
    batches = block_batches([tmp_path / "v.npy", volume], MODEL, key=jax.random.key(0))
    assert batches.sources == ("v.npy", "volume-1")
    assert batches.blocks.shape == (4, 4, 4, 4)
    np.testing.assert_allclose(batches.blocks[:2].ravel(), np.linspace(0, 1, 128), atol=1e-6)
    np.testing.assert_array_equal(batches.blocks[:2], batches.blocks[2:])


def test_random_positions_depend_on_the_key_and_on_the_volume() -> None:
    volume = np.random.default_rng(0).uniform(1, 2, (9, 9, 9)).astype(np.float32)

    def draw(seed: int) -> np.ndarray:
        batches = block_batches([volume, volume], MODEL, key=jax.random.key(seed), blocks_per_volume=20)
        return np.asarray(batches.blocks)

    np.testing.assert_array_equal(draw(0), draw(0))
    assert not np.array_equal(draw(0), draw(1))
    assert not np.array_equal(draw(0)[:20], draw(0)[20:])


def test_empty_blocks_are_dropped() -> None:
    volume = np.zeros((8, 4, 4), np.float32)
    volume[:4] = 1
    assert block_batches([volume], MODEL, key=jax.random.key(0)).blocks.shape[0] == 1
    drawn = block_batches([volume], MODEL, key=jax.random.key(0), blocks_per_volume=50, drop_empty=False)
    assert drawn.blocks.shape == (50, 4, 4, 4)
    for volumes in ([], [np.zeros((4, 4, 4), np.float32)]):
        with pytest.raises(ValueError, match="at least one volume"):
            block_batches(volumes, MODEL, key=jax.random.key(0))


def test_every_epoch_visits_the_blocks_in_another_order() -> None:
    batches = BlockBatches(np.zeros((10, 2, 2, 2), np.float32))
    orders = [np.asarray(batches.epoch_order(3, epoch, key=jax.random.key(0))) for epoch in range(2)]
    for order in orders:
        assert order.shape == (3, 3)
        assert len(set(order.ravel())) == 9
    assert not np.array_equal(*orders)


def test_blocks_of_the_wrong_shape_are_named() -> None:
    for shape in ((0, 4, 4, 4), (3, 4, 4), (3, 4, 4, 5)):
        with pytest.raises(ValueError, match="`blocks` has shape"):
            BlockBatches(np.zeros(shape, np.float32))
