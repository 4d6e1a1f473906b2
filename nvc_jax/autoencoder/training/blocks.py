"""Reproducible batches of blocks from volumes (paper, section 3.1), and public volumes to fetch."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder.blocks import extract_blocks
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.normalization import finite_range, normalize
from nvc_jax.core.shapes import grid_shape
from nvc_jax.io.volumes import read_volume

EMPTY_MEAN = 1e-5
"""Blocks whose mean is at most this are dropped: empty space teaches nothing."""


@dataclasses.dataclass(frozen=True)
class BlockBatches:
    """Training blocks and the order in which they are visited.

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
        """Indices of one epoch's batches, int32 (n // batch_size, batch_size): all blocks shuffled."""
        n = self.blocks.shape[0]
        order = jax.random.permutation(jax.random.fold_in(key, epoch), n)
        return order[: n - n % batch_size].reshape(-1, batch_size).astype(jnp.int32)


@jax.jit
def _to_unit_range(volume: jax.Array) -> jax.Array:
    return normalize(volume, *finite_range(volume))


def _random_blocks(values: np.ndarray, config: ModelConfig, count: int, key: jax.Array) -> np.ndarray:
    """``count`` blocks whose cores start anywhere in the volume, zero-padded as on the grid."""
    b, m = config.block_size, config.margin
    grid = grid_shape(values.shape, b)
    padded = np.pad(values, [(m, n * b + m - s) for n, s in zip(grid, values.shape, strict=True)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, [config.side] * 3)
    corners = jax.random.randint(key, (3, count), 0, jnp.array(windows.shape[:3])[:, None])
    return windows[tuple(np.asarray(corners))]


def block_batches(
    sources: Iterable[Any],
    config: ModelConfig,
    *,
    key: jax.Array,
    blocks_per_volume: int | None = None,
    drop_empty: bool = True,
) -> BlockBatches:
    """Cut volumes into training blocks for a model.

    Each volume is scaled to [0, 1] by its finite range, cut into blocks with the model's margin, and
    rid of blocks whose mean is at most ``EMPTY_MEAN`` (paper, section 3.1).

    Args:
        sources: volumes as ``open_volume`` takes them.
        config: the model's configuration: block size and margin.
        key: randomness of the positions.
        blocks_per_volume: None for every block of the grid once (the paper); a number to draw that
            many blocks at random positions from every volume, so that large volumes do not outweigh
            small ones.
        drop_empty: whether to drop empty blocks.

    Returns:
        The blocks of all volumes, in memory on the host, unshuffled.

    Raises:
        ValueError: there is no source, or no block is left.
    """
    parts, names = [], []
    for index, source in enumerate(sources):
        values = _to_unit_range(jnp.asarray(read_volume(source)))
        if blocks_per_volume is None:
            blocks = np.asarray(extract_blocks(values, config.block_size, config.margin))
        else:
            volume_key = jax.random.fold_in(key, index)
            blocks = _random_blocks(np.asarray(values), config, blocks_per_volume, volume_key)
        if drop_empty:
            blocks = blocks[blocks.mean(axis=(1, 2, 3)) > EMPTY_MEAN]
        parts.append(blocks)
        names.append(Path(source).name if isinstance(source, str | Path) else f"volume-{index}")
    if not parts or not any(len(part) for part in parts):
        raise ValueError("`sources` must hold at least one volume with a block that is not empty")
    return BlockBatches(np.concatenate(parts), tuple(names))
