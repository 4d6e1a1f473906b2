"""Training of a spectral model on volumes, as ``nvc_jax.train`` runs it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.settings import BLOCKS_PER_VOLUME
from nvc_jax.training.config import TrainingConfig, volume_names
from nvc_jax.training.progress import RunOptions, TrainedParams


@dataclasses.dataclass(frozen=True)
class SpectralTraining(TrainingConfig):
    """Training of a spectral model: the entropy model is fitted by counting.

    Attributes:
        blocks_per_volume: blocks of each chunk that the block classes are fitted on; as many as there is
            time for if that is limited.
    """

    model: SpectralConfig = dataclasses.field(default_factory=SpectralConfig)
    blocks_per_volume: int = BLOCKS_PER_VOLUME

    loss_name: ClassVar[str] = "bits per voxel that are fitted: of each profile, then of all"
    shown_step: ClassVar[float | None] = 0.02
    replaced_by_time: ClassVar[tuple[str, ...]] = ("blocks_per_volume",)

    def __post_init__(self) -> None:
        if self.model.architecture != SpectralConfig.architecture:
            raise ValueError(f"`model` (={self.model}) must be a spectral model")
        if self.blocks_per_volume < 1:
            raise ValueError(f"`blocks_per_volume` (={self.blocks_per_volume}) must be at least 1")

    @property
    def card_settings(self) -> Mapping[str, Any]:
        """Method that fits the model, and how many blocks it learns from."""
        return {
            "entropy model": "by counting; classes by Lloyd's algorithm in bits",
            "blocks_per_volume": self.blocks_per_volume,
        }

    def run(self, volumes: Sequence[Any], options: RunOptions) -> TrainedParams:
        """Fit the model to volumes, of which a few chunks are read.

        Args:
            volumes: volumes that ``open_volume`` takes; at least one.
            options: ``validation`` must be empty.

        Raises:
            ValueError: no volumes, validation volumes, or a directory that holds another run.
        """
        if not len(volumes):
            raise ValueError("`volumes` must hold at least one volume")
        if len(options.validation):
            names = ", ".join(volume_names(options.validation))
            raise ValueError(
                f"`validation` (={names}): spectral models take none, as their tables are counted"
            )
        from nvc_jax.spectral.training.fit import train_spectral  # Optax and Orbax take long to import

        return train_spectral(volumes, self.model, options, blocks_per_volume=self.blocks_per_volume)
