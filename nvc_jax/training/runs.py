"""Checkpoints of a training run in a directory, from which an interrupted run continues."""

import contextlib
import json
import math
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from nvc_jax.training.mesh import describe_topology, is_first_process, wait_for_processes
from nvc_jax.training.metrics import METRICS
from nvc_jax.training.optimizer import TrainingState

_IDENTITY = "run.json"
_PARTIAL_IDENTITY = "run.json.partial"
_STEPS = "steps"
_LOSS = "validation_loss"


class RunCheckpoints:
    """The last and the best Orbax checkpoint of a run, and the file ``run.json`` that identifies the run.

    All processes of a run make one each, for the same directory. Writing goes on while the run does.

    Args:
        directory: of the run; created if it does not exist.
        run: description of all that determines the run's parameters (configuration, data, key), JSON-ready.
        mesh: devices of the run.

    Raises:
        FileExistsError: ``directory`` holds files and no run.
        ValueError: ``directory`` belongs to a run with another description.
    """

    def __init__(self, directory: Path, run: Mapping[str, Any], mesh: Mesh) -> None:
        check_run_directory(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / _IDENTITY
        run = json.loads(json.dumps(run))  # the form in which it is read back: tuples become lists
        known = _read_identity(self._path) if self._path.exists() else None
        if known is not None and known.get("run") != run:
            raise ValueError(
                f"`directory` (={directory}) holds a run with another configuration or data; name another "
                "one, or remove it"
            )
        self._topology = describe_topology(mesh)
        wait_for_processes("run.json was read")
        self._write(run, known)
        wait_for_processes("run.json was written")

        keep = [LatestN(1), BestN(get_metric_fn=_get_loss, reverse=True, n=1)]
        options = ocp.CheckpointManagerOptions(
            best_fn=_get_loss, best_mode="min", preservation_policy=AnyPreservationPolicy(keep)
        )
        self._manager = ocp.CheckpointManager((directory / _STEPS).absolute(), options=options)

    def restore(self, state: TrainingState) -> tuple[TrainingState, dict[str, float]]:
        """Restore the last checkpoint and its notes; return ``state``, the initial state, if there is none.

        A warning says so if the run goes on with other devices: its parameters then agree with those of an
        uninterrupted run up to rounding only.
        """
        step = self._manager.latest_step()
        if step is None:
            return state, {}
        notes = {name: value for name, value in self._manager.metrics(step).items() if name != _LOSS}
        return self._restore(step, state), notes

    def restore_best(self, state: TrainingState) -> TrainingState:
        """Restore the checkpoint with the smallest validation loss; the last one where none has a loss."""
        self._manager.wait_until_finished()
        step = self._manager.best_step()
        return state if step is None else self._restore(step, state)

    def save(
        self,
        step: int,
        state: TrainingState,
        validation_loss: float | None = None,
        notes: Mapping[str, float] | None = None,
    ) -> None:
        """Save the state after some steps. Of the checkpoints before, the best one stays.

        Args:
            step: number of steps that are done.
            state: after these; it is copied, and the caller may donate it at once.
            validation_loss: of the state, if it was measured.
            notes: further numbers for ``restore``.
        """
        if step in self._manager.all_steps():
            return
        is_known = validation_loss is not None and math.isfinite(validation_loss)
        metrics = {**(notes or {}), _LOSS: validation_loss if is_known else math.inf}
        copy = jax.tree.map(lambda leaf: leaf.copy(), state)
        self._manager.save(step, args=ocp.args.StandardSave(copy), metrics=metrics)

    def close(self) -> None:
        """Wait until everything is written."""
        self._manager.close()

    def _restore(self, step: int, state: TrainingState) -> TrainingState:
        return self._manager.restore(step, args=ocp.args.StandardRestore(state))

    def _write(self, run: Mapping[str, Any], known: Mapping[str, Any] | None) -> None:
        """Write ``run.json``, with all topologies that the run has had."""
        topologies = [] if known is None else known["topologies"]
        if topologies and topologies[-1] != self._topology:
            warnings.warn(
                f"this run continues on {_wording(self._topology)} after {_wording(topologies[-1])}: its "
                "parameters will agree with those of an uninterrupted run up to rounding only",
                stacklevel=3,
            )
        if topologies[-1:] != [self._topology]:
            topologies = [*topologies, self._topology]
        if is_first_process():
            partial = self._path.with_name(_PARTIAL_IDENTITY)
            partial.write_text(json.dumps({"run": run, "topologies": topologies}, indent=2))
            partial.replace(self._path)


def check_run_directory(directory: Path) -> None:
    """Raise ``FileExistsError`` unless a directory is that of a run, empty, or not there yet.

    Other processes of the run may be making it: each question is asked once.
    """
    try:
        foreign = min((entry.name for entry in directory.iterdir()), default=None)
    except NotADirectoryError:
        held = "is no directory"
    except FileNotFoundError:
        if not directory.is_symlink():
            return
        held = "is no directory"
    else:
        if foreign in (None, _PARTIAL_IDENTITY, METRICS) or (directory / _IDENTITY).is_file():
            return
        held = f"holds `{foreign}` and no training run"
    raise FileExistsError(f"`{directory}`, where a training keeps its state, {held}; move it away")


def remove_run(directory: Path) -> None:
    """Remove the files of a run, and their directory unless it holds others."""
    shutil.rmtree(directory / _STEPS, ignore_errors=True)
    for name in (METRICS, _IDENTITY):
        with contextlib.suppress(FileNotFoundError):
            (directory / name).unlink()
    with contextlib.suppress(OSError):
        directory.rmdir()


def _read_identity(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"`{path}` is not JSON, so no run can be continued there: {error}") from error


def _get_loss(metrics: Mapping[str, float]) -> float:
    return metrics[_LOSS]


def _wording(topology: Mapping[str, Any]) -> str:
    counts = [
        f"{topology[name]} {name if topology[name] > 1 else singular}"
        for name, singular in (("processes", "process"), ("devices", "device"))
    ]
    return f"{' with '.join(counts)} ({topology['kind']}, jax {topology['jax']})"
