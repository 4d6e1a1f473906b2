"""Checkpoints of a training run in a directory, from which an interrupted run resumes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from nvc_jax.training.optimizer import TrainingState

_IDENTITY = "run.json"
_STEPS = "steps"


class RunCheckpoints:
    """The latest Orbax checkpoint of a run, and the file ``run.json`` that identifies the run.

    Args:
        directory: of the run; created if it does not exist.
        run: description of all that determines the run's parameters (configuration, data, key), JSON-ready.

    Raises:
        ValueError: ``directory`` belongs to a run with another description.
    """

    def __init__(self, directory: Path, run: Mapping[str, Any]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        identity = json.loads(json.dumps(run))  # the form in which it is read back: tuples become lists
        path = directory / _IDENTITY
        if path.exists() and json.loads(path.read_text()) != identity:
            raise ValueError(f"`directory` (={directory}) holds a run with another configuration or data")
        path.write_text(json.dumps(identity, indent=2))

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
