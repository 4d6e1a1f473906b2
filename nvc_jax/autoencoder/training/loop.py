"""Training loop of block autoencoders (paper, section 3.2): data-parallel and resumable.

One compiled call, a dispatch, runs many optimiser steps, because the networks are so small that the time of
calls would dominate.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from nvc_jax.autoencoder.networks import init_params
from nvc_jax.autoencoder.training.augmentation import random_symmetry
from nvc_jax.autoencoder.training.blocks import BlockBatches
from nvc_jax.autoencoder.training.loss import training_loss, validation_loss
from nvc_jax.autoencoder.training.settings import AutoencoderSettings
from nvc_jax.training.optimizer import TrainingState, update_params
from nvc_jax.training.progress import TrainedParams, TrainingProgress
from nvc_jax.training.runs import RunCheckpoints

_WARMUP_SHARE = 50
"""Total steps per step of the cosine schedule's linear warm-up, which thus takes 2 % of them."""


def train_blocks(
    settings: AutoencoderSettings,
    batches: BlockBatches,
    *,
    key: jax.Array,
    validation: BlockBatches | None = None,
    directory: Path | str | None = None,
    devices: Sequence[jax.Device] | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
) -> TrainedParams:
    """Train a block autoencoder on blocks.

    Several devices share every batch in equal parts. A run that was interrupted and is called again with the
    same arguments resumes from its last checkpoint. On the same machine and versions it ends with the same
    parameters, bit for bit, as a run that was not interrupted.

    Args:
        settings: model, optimiser, schedule and loss.
        batches: the blocks, side³ each; kept on every device.
        key: the only source of randomness.
        validation: held-out blocks; their loss is reported after every epoch.
        directory: directory of the run's checkpoints, written after every epoch; None writes none.
        devices: devices to train on; None for all.
        on_progress: called after every dispatch.

    Returns:
        The final parameters, and the progress after every dispatch.

    Raises:
        ValueError: blocks of another side than the model's, fewer blocks than a batch, a batch that
            the devices cannot share, or a directory that holds a run of another configuration.
    """
    devices = jax.devices() if devices is None else devices
    _check_batches(settings, batches, validation, len(devices))
    mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)
    params_key, order_key, step_key = jax.random.split(key, 3)
    batches_per_epoch = batches.blocks.shape[0] // settings.batch_size
    total_steps = settings.epochs * batches_per_epoch

    optimizer = _make_optimizer(settings, total_steps)
    params = init_params(settings.model, key=params_key)
    initial_state = TrainingState(params, optimizer.init(params), jnp.int32(0))
    state = jax.device_put(initial_state, _on_every_device(mesh))
    checkpoints = None
    if directory is not None:
        checkpoints = RunCheckpoints(Path(directory), _describe_run(settings, batches, key))
        state = checkpoints.restore(state)

    history: list[TrainingProgress] = []
    dispatches = _dispatches(settings, optimizer, mesh, state, batches, order_key, step_key)
    for state, loss, blocks_per_second in dispatches:
        step = int(state.step)
        held_out_loss = None
        if step % batches_per_epoch == 0:
            if validation is not None:
                held_out_loss = validation_loss(settings.model, state.params, validation.blocks)
            if checkpoints is not None:
                checkpoints.save(step, state)
        progress = TrainingProgress(step, total_steps, loss, held_out_loss, blocks_per_second)
        history.append(progress)
        if on_progress is not None:
            on_progress(progress)
    return TrainedParams(jax.device_get(state.params), batches.sources, tuple(history))


def _check_batches(
    settings: AutoencoderSettings, batches: BlockBatches, validation: BlockBatches | None, n_devices: int
) -> None:
    side = settings.model.side
    for name, checked in (("batches", batches), ("validation", validation)):
        if checked is not None and checked.blocks.shape[1] != side:
            raise ValueError(
                f"`{name}` holds blocks of side {checked.blocks.shape[1]}; the model's is {side}"
            )
    if batches.blocks.shape[0] < settings.batch_size:
        raise ValueError(
            f"`batches` holds {batches.blocks.shape[0]} blocks; one batch takes {settings.batch_size}: give "
            "more or larger volumes, or a smaller `batch_size`"
        )
    if settings.batch_size % n_devices:
        raise ValueError(
            f"`batch_size` (={settings.batch_size}) must be a multiple of the number of devices "
            f"(={n_devices})"
        )


def _make_optimizer(settings: AutoencoderSettings, total_steps: int) -> optax.GradientTransformation:
    if settings.schedule == "constant":
        return optax.adam(settings.learning_rate)
    warmup = max(1, total_steps // _WARMUP_SHARE)
    decay = max(total_steps, warmup + 1)
    return optax.adam(optax.warmup_cosine_decay_schedule(0.0, settings.learning_rate, warmup, decay))


def _on_every_device(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def _describe_run(settings: AutoencoderSettings, batches: BlockBatches, key: jax.Array) -> dict[str, object]:
    """Describe all that determines a run's parameters, JSON-ready."""
    return {
        "config": settings.to_dict(),
        "n_blocks": int(batches.blocks.shape[0]),
        "sources": list(batches.sources),
        "key": np.asarray(jax.random.key_data(key)).tolist(),
    }


def _dispatches(
    settings: AutoencoderSettings,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    state: TrainingState,
    batches: BlockBatches,
    order_key: jax.Array,
    step_key: jax.Array,
) -> Iterator[tuple[TrainingState, float, float]]:
    """Run the dispatches from ``state`` to the end of the last epoch.

    No dispatch extends beyond an epoch. Each one donates the state before it.

    Yields:
        After every dispatch: the state, the mean loss of its steps, and the blocks per second.
    """
    blocks = jax.device_put(batches.blocks, _on_every_device(mesh))
    batches_per_epoch = batches.blocks.shape[0] // settings.batch_size
    first_epoch, steps_done = divmod(int(state.step), batches_per_epoch)
    for epoch in range(first_epoch, settings.epochs):
        order = batches.epoch_order(settings.batch_size, epoch, key=order_key)
        for start in range(steps_done, batches_per_epoch, settings.steps_per_dispatch):
            rows = order[start : start + settings.steps_per_dispatch]
            rows = jax.device_put(rows, _on_every_device(mesh))
            began = time.perf_counter()
            state, losses = _dispatch(settings, optimizer, mesh, state, blocks, rows, step_key)
            loss = float(losses.mean())
            seconds = time.perf_counter() - began
            yield state, loss, rows.size / seconds
        steps_done = 0


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _dispatch(
    settings: AutoencoderSettings,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    state: TrainingState,
    blocks: jax.Array,
    order: jax.Array,
    key: jax.Array,
) -> tuple[TrainingState, jax.Array]:
    """Run one optimiser step for each row of ``order``, the indices of a batch; return their losses."""
    shared = NamedSharding(mesh, PartitionSpec("data"))

    def step(state: TrainingState, indices: jax.Array) -> tuple[TrainingState, jax.Array]:
        augment_key, noise_key = jax.random.split(jax.random.fold_in(key, state.step))
        batch = lax.with_sharding_constraint(blocks[indices], shared)
        if settings.augment:
            batch = random_symmetry(batch, key=augment_key)
        compute = jax.value_and_grad(training_loss, argnums=1)
        loss, gradients = compute(settings, state.params, batch, key=noise_key)
        params, optimizer_state = update_params(optimizer, gradients, state.optimizer, state.params)
        return TrainingState(params, optimizer_state, state.step + 1), loss

    return lax.scan(step, state, order)
