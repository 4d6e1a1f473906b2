"""Training blocks cut from volumes, in reproducible batches (paper, section 3.1)."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder.blocks import extract_blocks
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.normalization import finite_range, normalize
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.io.volumes import read_steps
from nvc_jax.training.config import volume_names

EMPTY_MEAN = 1e-5
"""Largest mean of a block that counts as empty: empty space teaches the network nothing."""


@dataclasses.dataclass(frozen=True)
class BlockBatches:
    """Training blocks, and the order in which they are visited.

    Attributes:
        blocks: (n, side, side, side) float32 in [0, 1].
        sources: names of the volumes that the blocks were cut from.
    """

    blocks: jax.Array | np.ndarray
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = self.blocks.shape
        if len(shape) != 4 or shape[0] == 0 or len(set(shape[1:])) != 1:
            raise ValueError(f"`blocks` has shape {shape}; it must be (n, side, side, side) with n ≥ 1")

    def epoch_order(self, batch_size: int, epoch: int, *, key: jax.Array) -> jax.Array:
        """Shuffle the blocks of one epoch into batches.

        Args:
            batch_size: blocks per batch; the blocks that are left over are not visited in this epoch.
            epoch: index of the epoch; each has its own order.
            key: randomness of all epochs.

        Returns:
            int32 (n // batch_size, batch_size), indices of the blocks.
        """
        n = self.blocks.shape[0]
        order = jax.random.permutation(jax.random.fold_in(key, epoch), n)
        return order[: n - n % batch_size].reshape(-1, batch_size).astype(jnp.int32)


@jax.jit
def _to_unit_range(volume: jax.Array) -> jax.Array:
    return normalize(volume, *finite_range(volume))


def _random_blocks(values: np.ndarray, config: ModelConfig, count: int, key: jax.Array) -> np.ndarray:
    """Cut ``count`` blocks whose cores start anywhere in the volume, zero-padded as blocks of the grid."""
    b, m = config.block_size, config.margin
    grid = grid_shape(check_shape(values.shape), b)
    padded = np.pad(values, [(m, n * b + m - side) for n, side in zip(grid, values.shape, strict=True)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, [config.side] * 3)
    corners = jax.random.randint(key, (3, count), 0, jnp.array(windows.shape[:3])[:, None])
    return windows[tuple(np.asarray(corners))]


def block_batches(
    volumes: Iterable[Any],
    config: ModelConfig,
    *,
    key: jax.Array,
    blocks_per_volume: int | None = None,
    drop_empty: bool = True,
) -> BlockBatches:
    """Cut volumes into training blocks for a model (paper, section 3.1).

    Each volume is scaled to [0, 1] by its finite range and cut into blocks with the model's margin. Blocks
    whose mean is at most ``EMPTY_MEAN`` are dropped.

    Args:
        volumes: volumes that ``open_volume`` takes.
        config: the model's configuration, with the block size and the margin.
        key: randomness of the positions.
        blocks_per_volume: blocks drawn at random positions from every volume, so that large volumes do not
            outweigh small ones; None takes every block of the grid once (the paper).
        drop_empty: whether to drop empty blocks.

    Returns:
        The blocks of all volumes, in memory on the host, in the order of the volumes.

    Raises:
        ValueError: there is no volume, or all blocks are empty.
    """
    volumes, parts = list(volumes), []
    steps = (step for volume in volumes for step in read_steps(volume))
    for index, step in enumerate(steps):
        values = _to_unit_range(jnp.asarray(step))
        if blocks_per_volume is None:
            blocks = np.asarray(extract_blocks(values, config.block_size, config.margin))
        else:
            volume_key = jax.random.fold_in(key, index)
            blocks = _random_blocks(np.asarray(values), config, blocks_per_volume, volume_key)
        if drop_empty:
            blocks = blocks[blocks.mean(axis=(1, 2, 3)) > EMPTY_MEAN]
        parts.append(blocks)
    if not any(len(part) for part in parts):
        raise ValueError("`volumes` must hold at least one volume with a block that is not empty")
    return BlockBatches(np.concatenate(parts), volume_names(volumes))
