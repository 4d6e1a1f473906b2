"""The interface of training: a configuration that trains the kind of model it belongs to."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from nvc_jax.core.model import ModelConfig
from nvc_jax.training.progress import RunOptions, TrainedParams


@dataclasses.dataclass(frozen=True)
class TrainingConfig(abc.ABC):
    """Settings of a training run: plain data, JSON both ways.

    Each kind of model has a subclass, which adds its own fields and implements ``run``.

    Attributes:
        model: configuration of the model.
        loss_name: name of the losses that are reported, with their unit.
        shown_step: quantisation step, relative to the range, at which pictures show the model; None for a
            model that needs none.
        replaced_by_time: settings that say how much work there is; not used in a run of limited time.
    """

    model: ModelConfig

    loss_name: ClassVar[str] = "loss"
    shown_step: ClassVar[float | None] = None
    replaced_by_time: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Describe the configuration, JSON-ready, for ``models.training.training_config`` to read back.

        The model's description holds all fields. That of ``ModelConfig.to_dict`` may lack some, for which
        stored models and new ones have different defaults.
        """
        fields = dataclasses.asdict(self)
        return {**fields, "model": {"architecture": self.model.architecture, **fields["model"]}}

    @property
    @abc.abstractmethod
    def card_settings(self) -> Mapping[str, Any]:
        """Settings that a model card lists, by name."""

    @abc.abstractmethod
    def run(self, volumes: Sequence[Any], options: RunOptions) -> TrainedParams:
        """Train the model; arguments and errors are those of ``nvc_jax.train``."""


def volume_names(volumes: Sequence[Any]) -> tuple[str, ...]:
    """Name training volumes: those with a path by its last part, any other volume by its position."""
    paths = [getattr(volume, "path", volume) for volume in volumes]  # a raw file has its path as an attribute
    return tuple(
        Path(path).name if isinstance(path, str | Path) else f"volume-{index}"
        for index, path in enumerate(paths)
    )
