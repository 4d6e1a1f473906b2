"""Training of a block-mean model, as ``nvc_jax.train`` runs it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from nvc_jax.core.model import ModelConfig
from nvc_jax.core.normalization import finite_range, normalize
from nvc_jax.io.volumes import read_volume
from nvc_jax.training.config import TrainingConfig, volume_names
from nvc_jax.training.progress import RunOptions, TrainedParams
from tiny_model.coding import mean_of_blocks
from tiny_model.config import BlockMeanConfig


@dataclasses.dataclass(frozen=True)
class BlockMeanTraining(TrainingConfig):
    """Training of a block-mean model: the pattern of a block is averaged over all blocks.

    Attributes:
        strength: factor of the pattern.
    """

    model: ModelConfig = dataclasses.field(default_factory=BlockMeanConfig)
    strength: float = 1.0

    @property
    def card_settings(self) -> Mapping[str, Any]:
        return {"pattern": "average over all blocks", "strength": self.strength}

    def run(self, volumes: Sequence[Any], options: RunOptions) -> TrainedParams:
        if not volumes:
            raise ValueError("`volumes` must hold at least one volume")
        patterns = [average_pattern(read_volume(volume), self.model.block_size) for volume in volumes]
        pattern = np.float32(self.strength) * np.mean(patterns, axis=0, dtype=np.float32)
        return TrainedParams({"pattern": pattern}, volume_names(volumes))


def average_pattern(volume: np.ndarray, block_size: int) -> np.ndarray:
    """Average difference of the voxels of a block from its mean, relative to the range of the volume."""
    complete = volume[tuple(slice(0, side // block_size * block_size) for side in volume.shape)]
    unit = normalize(jnp.asarray(complete), *finite_range(jnp.asarray(complete)))
    means = mean_of_blocks(unit, block_size)
    z, y, x = means.shape
    blocks = unit.reshape(z, block_size, y, block_size, x, block_size)
    return np.asarray((blocks - means[:, None, :, None, :, None]).mean((0, 2, 4)))
