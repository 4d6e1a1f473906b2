from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from nvc_jax.autoencoder.blocks import extract_blocks
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.training.block_regions import BlockRegions
from nvc_jax.autoencoder.training.blocks import load_blocks
from nvc_jax.core.normalization import finite_range, normalize

MODEL = DenseConfig(block_size=4, margin=0)
WITH_MARGIN = DenseConfig(block_size=4, margin=2)


def cut(volumes: list[Any], model: DenseConfig = MODEL, seed: int = 0, **options: Any) -> BlockRegions:
    return BlockRegions(volumes, model, key=jax.random.key(seed), **options)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 2, shape).astype(np.float32)


def sort_blocks(blocks: np.ndarray) -> np.ndarray:
    """Sort blocks by their values: regions come in another order than the rows of the grid."""
    flat = np.asarray(blocks).reshape(len(blocks), -1)
    return flat[np.lexsort(flat.T)]


def test_blocks_are_scaled_to_the_unit_range_and_know_their_volumes(tmp_path: Path) -> None:
    volume = np.arange(8 * 4 * 4, dtype=np.float32).reshape(8, 4, 4) - 50
    np.save(tmp_path / "v.npy", volume)
    regions = cut([tmp_path / "v.npy", volume])
    assert regions.sources == ("v.npy", "volume-1")
    assert regions.counts.tolist() == [2, 2]
    blocks = load_blocks(regions)
    np.testing.assert_allclose(blocks[:2].ravel(), np.linspace(0, 1, 128), atol=1e-6)
    np.testing.assert_array_equal(blocks[:2], blocks[2:])


@pytest.mark.parametrize("model", [MODEL, WITH_MARGIN], ids=["no margin", "margin"])
def test_the_blocks_of_all_regions_are_those_of_the_whole_volume(model: DenseConfig) -> None:
    """Two regions along one axis, and a block that ends beyond the volume."""
    volume = noise((33, 9, 6))
    volume[5, 3, 2] = np.nan
    regions = cut([volume], model)
    assert regions.counts.tolist() == [8 * 3 * 2, 1 * 3 * 2]
    unit = normalize(volume, *finite_range(jax.numpy.asarray(volume)))
    expected = extract_blocks(unit, model.block_size, model.margin)
    np.testing.assert_array_equal(sort_blocks(load_blocks(regions)), sort_blocks(expected))


@pytest.mark.parametrize("offset_and_scale", [(0, 1e300), (1e9, 1e-3)])
def test_values_that_float32_does_not_hold_are_learned_from(offset_and_scale: tuple[float, float]) -> None:
    offset, scale = offset_and_scale
    ramp = np.arange(8 * 4 * 4, dtype=np.float64).reshape(8, 4, 4)
    blocks = load_blocks(cut([offset + scale * ramp]))
    np.testing.assert_allclose(blocks.ravel(), np.linspace(0, 1, 128), atol=1e-4)


def test_steps_of_a_series_are_volumes_of_their_own() -> None:
    series = np.stack([noise((4, 4, 8)), 5 * noise((4, 4, 8), seed=1)])
    blocks = load_blocks(cut([series]))
    assert blocks.shape == (4, 4, 4, 4)
    assert blocks[:2].max() == blocks[2:].max() == 1


def test_random_positions_depend_on_the_key_and_on_the_volume() -> None:
    volume = noise((40, 9, 9))

    def draw(seed: int) -> BlockRegions:
        return cut([volume, volume], seed=seed, blocks_per_volume=20)

    first = draw(0)
    assert first.counts.reshape(2, -1).sum(axis=1).tolist() == [20, 20]
    np.testing.assert_array_equal(load_blocks(first), load_blocks(draw(0)))
    assert not np.array_equal(load_blocks(first), load_blocks(draw(1)))
    assert not np.array_equal(*np.split(sort_blocks(load_blocks(first)), 2))


@pytest.mark.parametrize("model", [MODEL, WITH_MARGIN], ids=["no margin", "margin"])
def test_random_blocks_are_windows_of_the_volume(model: DenseConfig) -> None:
    volume = noise((37, 9, 9))
    unit = np.asarray(normalize(volume, *finite_range(jax.numpy.asarray(volume))))
    end = -unit.shape[0] % 4, -unit.shape[1] % 4, -unit.shape[2] % 4
    padded = np.pad(unit, [(model.margin, model.margin + width) for width in end])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (model.side,) * 3)
    known = {window.tobytes() for window in windows.reshape(-1, *windows.shape[3:])}
    blocks = load_blocks(cut([volume], model, blocks_per_volume=60))
    assert len(blocks) == 60
    assert all(block.tobytes() in known for block in blocks)


def test_empty_blocks_are_dropped() -> None:
    volume = np.zeros((8, 4, 4), np.float32)
    volume[:4] = 1
    assert cut([volume]).counts.sum() == 1
    assert cut([volume], blocks_per_volume=50, drop_empty=False).counts.sum() == 50
    for volumes in ([], [np.zeros((4, 4, 4), np.float32)], [np.full((4, 4, 4), np.nan, np.float32)]):
        with pytest.raises(ValueError, match="at least one volume"):
            cut(volumes)
