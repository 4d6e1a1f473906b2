"""Training loop of block autoencoders (paper, section 3.2): data-parallel and resumable.

One compiled call, a dispatch, runs many optimiser steps, because the networks are so small that the time of
calls would dominate. The blocks of the next dispatches are read meanwhile. The loop waits for each dispatch
before it starts another one: collectives of several dispatches at a time may meet in different orders in
different processes. ``pace`` says how many steps a dispatch takes, of the batches that are loaded.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nvc_jax.autoencoder.networks import init_params
from nvc_jax.autoencoder.training.augmentation import random_symmetry
from nvc_jax.autoencoder.training.loss import training_loss, validation_loss
from nvc_jax.autoencoder.training.pace import Dispatch, EpochPace, TimedPace
from nvc_jax.autoencoder.training.settings import AutoencoderSettings
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.parameters import Params
from nvc_jax.training.mesh import AXIS, local_rows, make_mesh, replicate, row_sharding, share_rows
from nvc_jax.training.optimizer import TrainingState, update_params
from nvc_jax.training.progress import RunOptions, TrainedParams, TrainingProgress
from nvc_jax.training.stream import BatchStream, BlockSource, Seed
from nvc_jax.training.supervision import Supervisor, TimedItems

_WARMUP_SHARE = 50
"""Positions of the cosine schedule per position of its linear warm-up, which thus takes 2 % of them."""
_OPTIMIZER = optax.scale_by_adam()


class _Part(NamedTuple):
    """Batches that are loaded at a time, within one epoch."""

    epoch: int
    batches: range


def train_blocks(
    settings: AutoencoderSettings,
    source: BlockSource,
    options: RunOptions,
    *,
    key: jax.Array,
    validation: BlockSource | None = None,
) -> TrainedParams:
    """Train a block autoencoder on blocks.

    Several devices, of one process or of many, share every batch in equal parts. Losses and parameters do not
    depend on their number, up to rounding. A run that was interrupted and is called again with the same
    arguments continues from its last checkpoint. On the same devices and versions it ends with the same
    parameters, bit for bit, as a run that was not interrupted. A run of limited time goes on through as many
    epochs as the time allows, with no regard to ``settings.epochs``.

    Args:
        settings: model, optimiser, schedule and loss.
        source: the blocks, side³ each.
        options: of the run; ``validation`` and ``seed`` are not used here. Checkpoints are written after
            every epoch, after the dispatch that completes ``checkpoint_every`` steps, and after SIGTERM; in
            a run of limited time not after all epochs, if they are short.
        key: the only source of randomness.
        validation: held-out blocks; their loss is reported after the same epochs.

    Returns:
        The parameters, and the progress after every dispatch.

    Raises:
        Preempted: SIGTERM was received; the state is saved, if there is a directory.
        ValueError: blocks of another side than the model's, fewer blocks than a batch, a batch that
            the devices cannot share, or a directory that holds a run of another configuration.
    """
    mesh = make_mesh(options.devices)
    _check_batches(settings, source, validation, mesh.size)
    params_key, order_key, step_key = jax.random.split(key, 3)
    rows = local_rows(mesh, settings.batch_size)
    stream = BatchStream(source, settings.batch_size, rows, _to_seed(order_key))

    params = init_params(settings.model, key=params_key)
    state = replicate(mesh, TrainingState(params, _OPTIMIZER.init(params), jnp.int32(0)))
    run = _describe_run(settings, source, key, options)
    with contextlib.ExitStack() as stack:
        supervisor = stack.enter_context(Supervisor(options, run, mesh))
        state = supervisor.restore(state)
        step = int(state.step)
        pace = _make_pace(settings, stream, options, supervisor.notes)
        parts = _parts(settings, stream.batches_per_epoch, step, options)
        # One thread reads the next blocks meanwhile.
        reading = map_in_order(lambda part: stream.load(*part), parts, n_workers=1)
        loaded = TimedItems(stack.enter_context(contextlib.closing(reading)))
        while not pace.is_over(step):
            batches, first = share_rows(mesh, next(loaded), axis=1), 0
            while first < len(batches) and not pace.is_over(step):
                dispatch, clocks = (
                    pace.plan(step, len(batches) - first),
                    _share_clock(mesh, pace.read_clock()),
                )
                state, loss, began = _run_steps(
                    settings,
                    pace.n_positions,
                    mesh,
                    state,
                    batches,
                    step_key,
                    np.int32(first),
                    dispatch,
                    clocks,
                )
                mean_loss, step, first = float(loss), int(state.step), first + dispatch.n_steps
                timing = loaded.timing()
                speed = dispatch.n_steps * settings.batch_size / timing["seconds"]
                is_epoch_end = step % stream.batches_per_epoch == 0
                is_milestone = pace.finish(dispatch, float(began), is_epoch_end=is_epoch_end)
                held_out_loss = None
                if is_milestone and validation is not None:
                    held_out_loss = validation_loss(settings.model, state.params, validation)
                progress = TrainingProgress(
                    step, pace.total_steps(step), mean_loss, held_out_loss, speed, **timing
                )
                supervisor.notes.update(pace.notes)
                supervisor.report(progress, state, is_milestone=is_milestone)
                loaded.restart()
        params = jax.device_get(supervisor.choose_kept(state).params)
    return TrainedParams(params, source.sources, tuple(supervisor.history))


def _check_batches(
    settings: AutoencoderSettings, source: BlockSource, validation: BlockSource | None, n_devices: int
) -> None:
    side = settings.model.side
    for name, checked in (("source", source), ("validation", validation)):
        if checked is not None and checked.block_shape[0] != side:
            raise ValueError(f"`{name}` holds blocks of side {checked.block_shape[0]}; the model's is {side}")
    if source.counts.sum() < settings.batch_size:
        raise ValueError(
            f"`source` holds {source.counts.sum()} blocks; one batch takes {settings.batch_size}: give "
            "more or larger volumes, or a smaller `batch_size`"
        )
    if settings.batch_size % n_devices:
        raise ValueError(
            f"`batch_size` (={settings.batch_size}) must be a multiple of the number of devices "
            f"(={n_devices})"
        )


def _make_pace(
    settings: AutoencoderSettings, stream: BatchStream, options: RunOptions, notes: Mapping[str, float]
) -> EpochPace | TimedPace:
    if options.limit is None:
        return EpochPace(settings.epochs * stream.batches_per_epoch)
    return TimedPace(options.limit, notes)


def _make_schedule(settings: AutoencoderSettings, n_positions: int) -> optax.Schedule:
    if settings.schedule == "constant":
        return optax.constant_schedule(settings.learning_rate)
    warmup = max(1, n_positions // _WARMUP_SHARE)
    decay = max(n_positions, warmup + 1)
    return optax.warmup_cosine_decay_schedule(0.0, settings.learning_rate, warmup, decay)


def _to_seed(key: jax.Array) -> Seed:
    return tuple(np.asarray(jax.random.key_data(key)).ravel().tolist())


def _describe_run(
    settings: AutoencoderSettings, source: BlockSource, key: jax.Array, options: RunOptions
) -> dict[str, object]:
    """Describe all that determines a run's parameters, JSON-ready."""
    return {
        "config": settings.to_dict(),
        "n_blocks": int(source.counts.sum()),
        "sources": list(source.sources),
        "key": _to_seed(key),
        **({} if options.limit is None else {"seconds": options.limit.seconds}),
    }


def _parts(
    settings: AutoencoderSettings, batches_per_epoch: int, first_step: int, options: RunOptions
) -> Iterator[_Part]:
    """List what is loaded from ``first_step`` on; there is no end where the time is limited."""
    first_epoch, done = divmod(first_step, batches_per_epoch)
    epochs = itertools.count(first_epoch)
    for epoch in epochs if options.limit is not None else range(first_epoch, settings.epochs):
        for start in range(done, batches_per_epoch, settings.steps_per_dispatch):
            yield _Part(epoch, range(start, min(start + settings.steps_per_dispatch, batches_per_epoch)))
        done = 0


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _run_steps(
    settings: AutoencoderSettings,
    n_positions: int,
    mesh: Mesh,
    state: TrainingState,
    batches: jax.Array,
    key: jax.Array,
    first: jax.Array,
    dispatch: Dispatch,
    clocks: jax.Array,
) -> tuple[TrainingState, jax.Array, jax.Array]:
    """Run the optimiser steps of a dispatch; also return their mean loss, and the first process's clock.

    Args:
        settings: of the training.
        n_positions: of the schedule.
        mesh: of the run.
        state: before the steps; donated.
        batches: float32 (n, rows, side, side, side).
        key: randomness of all steps.
        first: int32, number of the first step's batch.
        dispatch: from the run's pace.
        clocks: from ``_share_clock``.
    """
    shared = row_sharding(mesh, axis=0)
    differentiate, schedule = _share_gradients(settings, mesh), _make_schedule(settings, n_positions)

    def step(i: jax.Array, carry: tuple[TrainingState, jax.Array]) -> tuple[TrainingState, jax.Array]:
        state, total_loss = carry
        augment_key, noise_key = jax.random.split(jax.random.fold_in(key, state.step))
        batch = lax.with_sharding_constraint(batches[first + i], shared)
        if settings.augment:
            batch = random_symmetry(batch, key=augment_key)
        noise = jax.random.normal(noise_key, (batch.shape[0], settings.model.latent_dim))
        noise = lax.with_sharding_constraint(noise, shared)
        loss, gradients = differentiate(state.params, batch, noise)
        with jax.numpy_dtype_promotion("standard"):
            rate = jnp.float32(schedule(dispatch.position + i * dispatch.advance))
        params, moments = update_params(_OPTIMIZER, gradients, state.optimizer, state.params, rate)
        return TrainingState(params, moments, state.step + 1), total_loss + loss

    state, total_loss = lax.fori_loop(0, dispatch.n_steps, step, (state, jnp.float32(0)))
    everywhere = lax.with_sharding_constraint(clocks, NamedSharding(mesh, PartitionSpec()))
    return state, total_loss / dispatch.n_steps, everywhere[0]


def _share_clock(mesh: Mesh, seconds: float) -> jax.Array:
    """Make an array of what processes read from their clocks, float32, an entry for each device."""
    rows = local_rows(mesh, mesh.size)
    return share_rows(mesh, np.full(rows.stop - rows.start, seconds, np.float32))


def _share_gradients(
    settings: AutoencoderSettings, mesh: Mesh
) -> Callable[[Params, jax.Array, jax.Array], tuple[jax.Array, Params]]:
    """Make the function that computes a batch's loss and gradients, each device those of its rows.

    Devices meet once in each step, for one vector: the time of meeting, not that of the sums, is what small
    networks wait for.
    """

    def on_device(params: Params, batch: jax.Array, noise: jax.Array) -> tuple[jax.Array, Params]:
        results = jax.value_and_grad(training_loss, argnums=1)(settings, params, batch, noise)
        vector, restore = ravel_pytree(results)
        return restore(lax.pmean(vector, AXIS))

    if mesh.size == 1:
        return functools.partial(jax.value_and_grad(training_loss, argnums=1), settings)
    rows = PartitionSpec(AXIS)
    # Without the check of what varies, gradients are summed here and nowhere else.
    return jax.shard_map(
        on_device,
        mesh=mesh,
        in_specs=(PartitionSpec(), rows, rows),
        out_specs=PartitionSpec(),
        check_vma=False,
    )
