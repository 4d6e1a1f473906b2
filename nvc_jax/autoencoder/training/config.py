"""Training of a block autoencoder on volumes, as ``nvc_jax.train`` runs it."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import jax

from nvc_jax.autoencoder.training.block_regions import BlockRegions
from nvc_jax.autoencoder.training.loop import train_blocks
from nvc_jax.autoencoder.training.settings import AutoencoderSettings
from nvc_jax.training.progress import RunOptions, TrainedParams


@dataclasses.dataclass(frozen=True)
class AutoencoderTraining(AutoencoderSettings):
    """Training of a block autoencoder; see ``AutoencoderSettings`` for the fields."""

    loss_name: ClassVar[str] = "loss, squared error per voxel (range 1)"

    def run(self, volumes: Sequence[Any], options: RunOptions) -> TrainedParams:
        """Cut volumes into blocks and train on them.

        Raises:
            ValueError: the errors of ``BlockRegions`` and ``train_blocks``.
        """
        train_key, block_key, validation_key = jax.random.split(jax.random.key(options.seed), 3)
        source = self._cut(volumes, block_key)
        validation = self._cut(options.validation, validation_key) if len(options.validation) else None
        return train_blocks(self, source, options, key=train_key, validation=validation)

    def _cut(self, volumes: Sequence[Any], key: jax.Array) -> BlockRegions:
        return BlockRegions(volumes, self.model, key=key, blocks_per_volume=self.blocks_per_volume)
