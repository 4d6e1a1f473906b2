"""Options, progress reports and result of a training run."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from nvc_jax.core.parameters import Params


@dataclasses.dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training run, reported several times.

    Attributes:
        step: optimiser steps done.
        total_steps: optimiser steps of the whole run.
        loss: mean training loss since the last report.
        validation_loss: loss on held-out data; None where this report did not measure it.
        blocks_per_second: training blocks per second since the last report.
    """

    step: int
    total_steps: int
    loss: float
    validation_loss: float | None
    blocks_per_second: float


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options of a training run; ``nvc_jax.train`` explains them.

    Attributes:
        validation: volumes held out for a validation loss.
        seed: the only source of randomness.
        directory: directory of checkpoints to resume from; None writes none.
        devices: devices that share every batch; None for all.
        on_progress: called with progress reports.
    """

    validation: Sequence[Any] = ()
    seed: int = 0
    directory: Path | None = None
    devices: Sequence[jax.Device] | None = None
    on_progress: Callable[[TrainingProgress], None] | None = None


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
