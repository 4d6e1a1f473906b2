"""Progress and result of a training run."""

import dataclasses

from nvc_jax.core.parameters import Params


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes:
        step: optimiser steps done.
        total_steps: optimiser steps of the whole run.
        loss: training loss of the last steps.
        validation_loss: loss on held-out data, where it was measured.
        blocks_per_second: training blocks visited a second.
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
        sources: names of the volumes that it was trained on.
        history: progress reported on the way, from this process's first step on.
    """

    params: Params
    sources: tuple[str, ...]
    history: tuple[Progress, ...] = ()
