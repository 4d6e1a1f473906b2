"""Settings of a block autoencoder's training; the defaults are the paper's (section 3.2)."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from nvc_jax.autoencoder.config import VARIANTS, ConvolutionalConfig, DenseConfig
from nvc_jax.core.model import ModelConfig
from nvc_jax.training.config import TrainingConfig

SCHEDULES = ("constant", "cosine")
"""Schedules of the learning rate; see ``AutoencoderSettings``."""

LOSS_WINDOWS = ("uniform", "blend")
"""Weights of a block's voxels in the loss; see ``AutoencoderSettings``."""


@dataclasses.dataclass(frozen=True)
class AutoencoderSettings(TrainingConfig):
    """Settings that the loss and the training loop use.

    They lack ``run``, which calls the training loop; ``config.AutoencoderTraining`` adds it.

    Attributes:
        epochs: passes over all blocks; as many as fit in the time if that is limited.
        batch_size: blocks per optimiser step.
        learning_rate: learning rate of Adam, or the peak of the schedule.
        schedule: ``"constant"``, or ``"cosine"``: a linear warm-up over 2 % of the steps, then a cosine decay
            to zero.
        sample_latents: whether training decodes latents sampled around their means (the reparametrisation of
            a variational autoencoder); otherwise it decodes the means.
        kl_weight: weight of the latents' Kullback-Leibler divergence from a unit normal distribution, per
            block.
        loss_window: ``"uniform"`` gives all voxels of a block the same weight. ``"blend"`` gives margins the
            weights of blending, so that the network's capacity serves the voxels that are seen.
        blocks_per_volume: blocks drawn at random positions from each volume; None takes every block of the
            grid once.
        augment: whether to mirror and transpose every batch by one of the cube's 48 symmetries.
        steps_per_dispatch: optimiser steps in one compiled call; fewer in a run of limited time.
    """

    model: ModelConfig = VARIANTS["zero-margin"]
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-4
    schedule: str = "constant"
    sample_latents: bool = True
    kl_weight: float = 0.0
    loss_window: str = "uniform"
    blocks_per_volume: int | None = None
    augment: bool = False
    steps_per_dispatch: int = 256

    replaced_by_time: ClassVar[tuple[str, ...]] = ("epochs",)

    def __post_init__(self) -> None:
        if self.model.architecture not in (DenseConfig.architecture, ConvolutionalConfig.architecture):
            raise ValueError(f"`model` (={self.model}) must be a block autoencoder")
        for name in ("epochs", "batch_size", "steps_per_dispatch"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be at least 1")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` (={self.learning_rate}) must be positive")
        if self.kl_weight < 0:
            raise ValueError(f"`kl_weight` (={self.kl_weight}) must not be negative")
        for name, allowed in (("schedule", SCHEDULES), ("loss_window", LOSS_WINDOWS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"`{name}` (={getattr(self, name)!r}) must be one of {allowed}")

    @property
    def card_settings(self) -> Mapping[str, Any]:
        """Settings that a model card lists: all but the model and the size of a dispatch."""
        settings = self.to_dict()
        return {name: settings[name] for name in settings if name not in ("model", "steps_per_dispatch")}
