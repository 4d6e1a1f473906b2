"""A training run's checkpoints."""

import json
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
import orbax.checkpoint as ocp

from nvc_jax.autoencoder.networks import Params
from nvc_jax.autoencoder.training.blocks import BlockBatches
from nvc_jax.autoencoder.training.config import TrainingConfig


class TrainingState(NamedTuple):
    """What resuming needs: parameters, optimiser state and steps done."""

    params: Params
    optimizer: optax.OptState
    step: jax.Array


class RunCheckpoints:
    """Orbax checkpoints of a run, and the file that says which run it is."""

    def __init__(
        self, directory: Path, config: TrainingConfig, batches: BlockBatches, key: jax.Array
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        run = {
            "config": config.to_dict(),
            "n_blocks": int(batches.blocks.shape[0]),
            "sources": list(batches.sources),
            "key": np.asarray(jax.random.key_data(key)).tolist(),
        }
        run = json.loads(json.dumps(run))  # as it will be read back: tuples become lists
        path = directory / "run.json"
        if path.exists() and json.loads(path.read_text()) != run:
            raise ValueError(f"`directory` (={directory}) holds a run with another configuration or data")
        path.write_text(json.dumps(run, indent=2))
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager((directory / "steps").absolute(), options=options)

    def restore(self, state: TrainingState) -> TrainingState:
        step = self._manager.latest_step()
        if step is None:
            return state
        return self._manager.restore(step, args=ocp.args.StandardRestore(state))

    def save(self, step: int, state: TrainingState) -> None:
        self._manager.save(step, args=ocp.args.StandardSave(state))
