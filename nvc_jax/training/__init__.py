"""Training of any kind of model, on one device or on many of many processes.

Read ``config`` first: each kind of model subclasses ``TrainingConfig`` in its own ``training`` package. Then
``progress`` (options, reports and result of a run), ``optimizer`` (one step of an optimiser), ``stream``
(batches from regions of volumes), ``mesh`` (devices that share the work), ``supervision`` (what a run does
between steps), ``runs`` (checkpoints to continue from), ``time_limit``, ``preemption`` (SIGTERM),
``metrics`` (reports on disk) and ``launch`` (processes of a cluster). This package imports ``core`` only: no
kind of model, no volumes and no containers. ``models.training`` joins it to the models.
"""

from typing import TYPE_CHECKING

from nvc_jax.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from nvc_jax.training.config import TrainingConfig, volume_names
    from nvc_jax.training.launch import connect_processes
    from nvc_jax.training.mesh import make_mesh
    from nvc_jax.training.metrics import MetricsLog, read_metrics
    from nvc_jax.training.optimizer import TrainingState, update_params
    from nvc_jax.training.preemption import Preempted
    from nvc_jax.training.progress import RunOptions, TrainedParams, TrainingProgress
    from nvc_jax.training.runs import RunCheckpoints
    from nvc_jax.training.stream import BatchStream, BlockSource
    from nvc_jax.training.supervision import Supervisor
    from nvc_jax.training.time_limit import TimeLimit

__all__ = [
    "BatchStream",
    "BlockSource",
    "MetricsLog",
    "Preempted",
    "RunCheckpoints",
    "RunOptions",
    "Supervisor",
    "TimeLimit",
    "TrainedParams",
    "TrainingConfig",
    "TrainingProgress",
    "TrainingState",
    "connect_processes",
    "make_mesh",
    "read_metrics",
    "update_params",
    "volume_names",
]

_NAMES = {
    "config": "TrainingConfig volume_names",
    "launch": "connect_processes",
    "mesh": "make_mesh",
    "metrics": "MetricsLog read_metrics",
    "optimizer": "TrainingState update_params",
    "preemption": "Preempted",
    "progress": "RunOptions TrainedParams TrainingProgress",
    "runs": "RunCheckpoints",
    "stream": "BatchStream BlockSource",
    "supervision": "Supervisor",
    "time_limit": "TimeLimit",
}
"""Names that each module has."""

__getattr__, __dir__ = lazy_exports(__name__, _NAMES)
