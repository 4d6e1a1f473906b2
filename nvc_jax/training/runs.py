"""Checkpoints of a training run in a directory, from which an interrupted run resumes."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from nvc_jax.training.optimizer import TrainingState

_IDENTITY = "run.json"
_PARTIAL_IDENTITY = "run.json.partial"
_STEPS = "steps"


class RunCheckpoints:
    """The latest Orbax checkpoint of a run, and the file ``run.json`` that identifies the run.

    Args:
        directory: of the run; created if it does not exist.
        run: description of all that determines the run's parameters (configuration, data, key), JSON-ready.

    Raises:
        FileExistsError: ``directory`` holds files and no run.
        ValueError: ``directory`` belongs to a run with another description.
    """

    def __init__(self, directory: Path, run: Mapping[str, Any]) -> None:
        check_run_directory(directory)
        directory.mkdir(parents=True, exist_ok=True)
        identity = json.loads(json.dumps(run))  # the form in which it is read back: tuples become lists
        path = directory / _IDENTITY
        if path.exists() and _read_identity(path) != identity:
            raise ValueError(
                f"`directory` (={directory}) holds a run with another configuration or data; name another "
                "one, or remove it"
            )
        if not path.exists():
            partial = directory / _PARTIAL_IDENTITY
            partial.write_text(json.dumps(identity, indent=2))
            partial.replace(path)

        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager((directory / _STEPS).absolute(), options=options)

    def restore(self, state: TrainingState) -> TrainingState:
        """Restore the latest checkpoint; return ``state``, the initial state, if there is none."""
        step = self._manager.latest_step()
        if step is None:
            return state
        return self._manager.restore(step, args=ocp.args.StandardRestore(state))

    def save(self, step: int, state: TrainingState) -> None:
        """Save the state after ``step`` optimiser steps; it replaces the checkpoint before."""
        self._manager.save(step, args=ocp.args.StandardSave(state))


def check_run_directory(directory: Path) -> None:
    """Raise ``FileExistsError`` unless a directory is that of a run, empty, or not there yet."""
    if directory.is_dir():
        foreign = min((entry.name for entry in directory.iterdir()), default=None)
        if foreign is None or (directory / _IDENTITY).is_file() or foreign == _PARTIAL_IDENTITY:
            return
        held = f"holds `{foreign}` and no training run"
    elif directory.exists() or directory.is_symlink():
        held = "is no directory"
    else:
        return
    raise FileExistsError(f"`{directory}`, where a training keeps its state, {held}; move it away")


def remove_run(directory: Path) -> None:
    """Remove the files of a run, and their directory unless it holds others."""
    shutil.rmtree(directory / _STEPS, ignore_errors=True)
    with contextlib.suppress(OSError):
        (directory / _IDENTITY).unlink()
        directory.rmdir()


def _read_identity(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"`{path}` is not JSON, so no run can be continued there: {error}") from error
