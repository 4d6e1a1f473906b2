"""Training of a spectral model on volumes, as ``nvc_jax.train`` runs it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from nvc_jax.io.volumes import read_steps
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.fit import fit_spectral
from nvc_jax.spectral.training.samples import BLOCKS_PER_VOLUME
from nvc_jax.training.config import TrainingConfig, volume_names
from nvc_jax.training.progress import RunOptions, TrainedParams


@dataclasses.dataclass(frozen=True)
class SpectralTraining(TrainingConfig):
    """Training of a spectral model: the entropy model is fitted by counting.

    Attributes:
        blocks_per_volume: blocks of each chunk that the block classes are fitted on.
    """

    model: SpectralConfig = dataclasses.field(default_factory=SpectralConfig)
    blocks_per_volume: int = BLOCKS_PER_VOLUME

    def __post_init__(self) -> None:
        if self.model.architecture != SpectralConfig.architecture:
            raise ValueError(f"`model` (={self.model}) must be a spectral model")
        if self.blocks_per_volume < 1:
            raise ValueError(f"`blocks_per_volume` (={self.blocks_per_volume}) must be at least 1")

    @property
    def card_settings(self) -> Mapping[str, Any]:
        """Method that fits the model."""
        return {"entropy model": "by counting; classes by Lloyd's algorithm in bits"}

    def run(self, volumes: Sequence[Any], options: RunOptions) -> TrainedParams:
        """Fit the model to volumes, which are all held in memory.

        Args:
            volumes: volumes that ``open_volume`` takes; at least one.
            options: ``validation`` must be empty. ``devices`` must be None: fitting runs on JAX's default
                device. ``directory`` is not used: fitting keeps no checkpoints, and an interrupted run starts
                again. ``on_progress`` is not used: fitting reports no progress.

        Raises:
            ValueError: no volumes, validation volumes, or devices.
        """
        if not len(volumes):
            raise ValueError("`volumes` must hold at least one volume")
        if len(options.validation):
            names = ", ".join(volume_names(options.validation))
            raise ValueError(
                f"`validation` (={names}): spectral models take none; "
                "of eight volumes or more they hold some out themselves"
            )
        if options.devices is not None:
            raise ValueError("`devices` must be None: spectral models are fitted on JAX's default device")

        arrays = [step for volume in volumes for step in read_steps(volume)]
        params = fit_spectral(arrays, self.model, seed=options.seed, blocks_per_volume=self.blocks_per_volume)
        return TrainedParams(jax.device_get(params), volume_names(volumes))
