"""Progress and result of training."""

import dataclasses

from nvc_jax.models.codec import Codec


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where training stands after a dispatch; losses are mean squared errors in the unit range."""

    step: int
    total_steps: int
    loss: float
    validation_loss: float | None
    blocks_per_second: float


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """The trained codec and the progress reported on the way (from this process's first step on)."""

    codec: Codec
    history: tuple[Progress, ...]
