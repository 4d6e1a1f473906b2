"""The interface of training: what ``nvc_jax.train`` asks of any kind of model."""

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from nvc_jax.core.model import ModelConfig
from nvc_jax.training.progress import Progress, TrainedParams


@dataclasses.dataclass(frozen=True)
class TrainingConfig(abc.ABC):
    """How to train a model: plain data, JSON both ways.

    Attributes:
        model: configuration of the model.
    """

    model: ModelConfig

    def to_dict(self) -> dict[str, Any]:
        """Describe the configuration, JSON-ready, for ``models.training.training_config`` to read back."""
        return {**dataclasses.asdict(self), "model": self.model.to_dict()}

    @property
    @abc.abstractmethod
    def card_settings(self) -> Mapping[str, Any]:
        """What a model card says about the training, by what it is."""

    @abc.abstractmethod
    def run(
        self,
        volumes: Sequence[Any],
        *,
        validation: Sequence[Any],
        seed: int,
        directory: Path | None,
        devices: Sequence[jax.Device] | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> TrainedParams:
        """Train the model; arguments and errors are those of ``nvc_jax.train``."""
