"""Training of any kind of model: the interface, progress reports, optimiser steps and run checkpoints.

Read ``config`` first: each kind of model subclasses ``TrainingConfig`` in its own ``training`` package. Then
``progress`` (options, reports and result of a run), ``optimizer`` (one step of an optimiser) and ``runs``
(checkpoints to resume from). This package imports ``core`` only: no kind of model, no volumes and no
containers. ``models.training`` joins it to the models.
"""

from typing import TYPE_CHECKING

from nvc_jax.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from nvc_jax.training.config import TrainingConfig, volume_names
    from nvc_jax.training.optimizer import TrainingState, update_params
    from nvc_jax.training.progress import RunOptions, TrainedParams, TrainingProgress
    from nvc_jax.training.runs import RunCheckpoints

__all__ = [
    "RunCheckpoints",
    "RunOptions",
    "TrainedParams",
    "TrainingConfig",
    "TrainingProgress",
    "TrainingState",
    "update_params",
    "volume_names",
]

_NAMES = {
    "config": "TrainingConfig volume_names",
    "optimizer": "TrainingState update_params",
    "progress": "RunOptions TrainedParams TrainingProgress",
    "runs": "RunCheckpoints",
}
"""Names that each module has."""

__getattr__, __dir__ = lazy_exports(__name__, _NAMES)
