"""Reproducible batches of blocks from volumes (paper, section 3.1), and public volumes to fetch."""

import dataclasses
import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.autoencoder.blocks import extract_blocks, grid_shape
from nvc_jax.autoencoder.networks import ModelConfig
from nvc_jax.core.normalization import finite_range, normalize
from nvc_jax.io.volumes import import_extra, read_volume

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


def open_scivis() -> dict[str, dict[str, Any]]:
    """The volumes of the Open SciVis Datasets by name: URL, size (x, y, z), dtype, bytes, SHA-512."""
    entries = json.loads(Path(__file__).with_name("open_scivis.json").read_text())
    return {entry["id"]: entry for entry in entries}


def fetch_dataset(name: str, directory: Path | str = ".") -> Path:
    """Download a volume of the Open SciVis Datasets, unless it is there already, and check its SHA-512.

    Args:
        name: of the data set, one of ``open_scivis()``.
        directory: where to put it; made if it does not exist.

    Returns:
        Path of the ``.raw`` file; it appears under its name only when it is whole.

    Raises:
        ModuleNotFoundError: pooch is missing; the message has the command that installs it.
        OSError: the server cannot be reached.
        ValueError: an unknown name, or a file whose SHA-512 is wrong.
    """
    entries = open_scivis()
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`nvc fetch` lists them"
        raise ValueError(f"`name` (={name!r}) is no data set of the Open SciVis Datasets: {hint}")
    pooch = import_extra("pooch", "io")
    url = entries[name]["url"]
    pooch.get_logger().setLevel("WARNING")
    path = pooch.retrieve(
        url,
        known_hash=f"sha512:{entries[name]['sha512']}",
        fname=url.rsplit("/", 1)[1],
        path=Path(directory).absolute(),
        progressbar=False,
    )
    return Path(path)
