"""Training of block autoencoders (paper, section 3.2): data-parallel, many steps a dispatch, resumable."""

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nvc_jax.autoencoder.networks import init_params
from nvc_jax.autoencoder.training.blocks import BlockBatches
from nvc_jax.autoencoder.training.config import TrainingConfig
from nvc_jax.autoencoder.training.loss import evaluate_blocks, loss_of, random_symmetry
from nvc_jax.models.codec import Codec
from nvc_jax.training.progress import Progress, TrainingResult
from nvc_jax.training.runs import RunCheckpoints, TrainingState


def train(
    config: TrainingConfig,
    batches: BlockBatches,
    *,
    key: jax.Array,
    validation: BlockBatches | None = None,
    directory: Path | str | None = None,
    devices: Sequence[jax.Device] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> TrainingResult:
    """Train a block autoencoder (paper, section 3.2).

    With several devices each takes an equal part of every batch. A run that was interrupted and is
    called again with the same arguments goes on from its last checkpoint and ends with the same
    parameters, bit for bit, as one that was not (same machine and versions).

    Args:
        config: model, optimiser and schedule.
        batches: the blocks, side³ each; kept on the devices.
        key: the only source of randomness.
        validation: blocks whose loss is reported after every epoch.
        directory: where to keep checkpoints (one an epoch) and resume from; None keeps none.
        devices: None for all of them.
        on_progress: called after every dispatch.

    Returns:
        The codec with the final parameters, and the history.

    Raises:
        ValueError: blocks of another side than the model's, fewer blocks than a batch, a batch that
            the devices cannot share, or a directory that holds a run of another configuration.
    """
    devices = jax.devices() if devices is None else devices
    _check_batches(config, batches, validation, len(devices))
    mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)
    everywhere = NamedSharding(mesh, PartitionSpec())
    params_key, order_key, step_key = jax.random.split(key, 3)
    batches_per_epoch = batches.blocks.shape[0] // config.batch_size
    total_steps = config.epochs * batches_per_epoch

    params = init_params(config.model, key=params_key)
    optimizer = _optimizer(config, total_steps)
    state = TrainingState(params, optimizer.init(params), jnp.int32(0))
    state = jax.device_put(state, everywhere)
    checkpoints = None
    if directory is not None:
        checkpoints = RunCheckpoints(Path(directory), config, batches, key)
        state = checkpoints.restore(state)

    blocks = jax.device_put(batches.blocks, everywhere)
    dispatch = functools.partial(_dispatch, config, optimizer, mesh)
    history: list[Progress] = []
    step = int(state.step)
    while step < total_steps:
        epoch, done = divmod(step, batches_per_epoch)
        order = batches.epoch_order(config.batch_size, epoch, key=order_key)
        for start in range(done, batches_per_epoch, config.steps_per_dispatch):
            chunk = jax.device_put(order[start : start + config.steps_per_dispatch], everywhere)
            began = time.perf_counter()
            state, losses = dispatch(state, blocks, chunk, step_key)
            loss = float(losses.mean())
            seconds = time.perf_counter() - began
            step += chunk.shape[0]
            validation_loss = None
            if step % batches_per_epoch == 0:
                if validation is not None:
                    validation_loss = evaluate_blocks(config, state.params, validation.blocks)
                if checkpoints is not None:
                    checkpoints.save(step, state)
            progress = Progress(step, total_steps, loss, validation_loss, chunk.size / seconds)
            history.append(progress)
            if on_progress is not None:
                on_progress(progress)
    params = jax.device_get(state.params)
    return TrainingResult(Codec(config.model, params), tuple(history))


def _check_batches(
    config: TrainingConfig, batches: BlockBatches, validation: BlockBatches | None, n_devices: int
) -> None:
    for name, given in (("batches", batches), ("validation", validation)):
        if given is not None and given.blocks.shape[1] != config.model.side:
            raise ValueError(
                f"`{name}` holds blocks of side {given.blocks.shape[1]}; the model's is {config.model.side}"
            )
    if batches.blocks.shape[0] < config.batch_size:
        raise ValueError(
            f"`batches` holds {batches.blocks.shape[0]} blocks; one batch takes {config.batch_size}"
        )
    if config.batch_size % n_devices:
        raise ValueError(
            f"`batch_size` (={config.batch_size}) must be a multiple of the number of devices (={n_devices})"
        )


def _optimizer(config: TrainingConfig, total_steps: int) -> optax.GradientTransformation:
    if config.schedule == "constant":
        return optax.adam(config.learning_rate)
    warmup = max(1, total_steps // 50)
    return optax.adam(
        optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, max(total_steps, warmup + 1))
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _dispatch(
    config: TrainingConfig,
    optimizer: optax.GradientTransformation,
    mesh: jax.sharding.Mesh,
    state: TrainingState,
    blocks: jax.Array,
    order: jax.Array,
    key: jax.Array,
) -> tuple[TrainingState, jax.Array]:
    """Run one optimiser step for each row of ``order``; returns the losses."""
    shared = NamedSharding(mesh, PartitionSpec("data"))

    def step(state: TrainingState, indices: jax.Array) -> tuple[TrainingState, jax.Array]:
        augment_key, noise_key = jax.random.split(jax.random.fold_in(key, state.step))
        batch = lax.with_sharding_constraint(blocks[indices], shared)
        if config.augment:
            batch = random_symmetry(batch, key=augment_key)
        loss, gradients = jax.value_and_grad(loss_of, argnums=1)(config, state.params, batch, key=noise_key)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes; our own code may be strict
            updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainingState(params, optimizer_state, state.step + 1), loss

    return lax.scan(step, state, order)
