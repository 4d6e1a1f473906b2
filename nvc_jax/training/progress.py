"""TrainingProgress and result of a training run."""

import dataclasses

from nvc_jax.core.parameters import Params


@dataclasses.dataclass(frozen=True)
class TrainingProgress:
    """TrainingProgress of a training run.

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
