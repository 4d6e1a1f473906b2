"""Options, progress reports and result of a training run."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from nvc_jax.core.choices import KEPT_PARAMS
from nvc_jax.core.parameters import Params
from nvc_jax.training.time_limit import TimeLimit


@dataclasses.dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training run, reported several times.

    Attributes:
        step: optimiser steps done.
        total_steps: optimiser steps of the whole run; an estimate until the end of a run of limited time.
        loss: mean training loss since the last report.
        validation_loss: loss on held-out data; None where this report did not measure it.
        blocks_per_second: training blocks per second since the last report.
        seconds: time of the steps since the last report.
        data_wait: share of these seconds in which devices waited for data.
    """

    step: int
    total_steps: int
    loss: float
    validation_loss: float | None
    blocks_per_second: float
    seconds: float = 0.0
    data_wait: float = 0.0


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options of a training run; ``nvc_jax.train`` explains them.

    Attributes:
        validation: volumes held out for a validation loss.
        seed: the only source of randomness.
        directory: directory of checkpoints to resume from; None writes none.
        devices: devices that share every batch; None for all.
        on_progress: called with progress reports.
        checkpoint_every: optimiser steps between two checkpoints, at most.
        keep: ``"last"`` for the parameters after the last step, or ``"best"`` for those of the checkpoint
            with the smallest validation loss.
        limit: of the run's time; None for a run that its configuration limits alone.
    """

    validation: Sequence[Any] = ()
    seed: int = 0
    directory: Path | None = None
    devices: Sequence[jax.Device] | None = None
    on_progress: Callable[[TrainingProgress], None] | None = None
    checkpoint_every: int = 10_000
    keep: str = "last"
    limit: TimeLimit | None = None

    def __post_init__(self) -> None:
        if self.checkpoint_every < 1:
            raise ValueError(f"`checkpoint_every` (={self.checkpoint_every}) must be at least 1")
        if self.keep not in KEPT_PARAMS:
            raise ValueError(f"`keep` (={self.keep!r}) must be one of {KEPT_PARAMS}")
        if self.keep == "best" and (self.directory is None or not len(self.validation)):
            raise ValueError(
                "`keep` (='best') needs `validation` volumes to measure by, and a `directory` that keeps the "
                "best checkpoint"
            )


@dataclasses.dataclass(frozen=True)
class TrainedParams:
    """Result of a training run.

    Attributes:
        params: parameters of the model, on the host.
        sources: names of the training volumes.
        history: every progress report of this process; a resumed run lacks the reports before it.
    """

    params: Params
    sources: tuple[str, ...]
    history: tuple[TrainingProgress, ...] = ()
