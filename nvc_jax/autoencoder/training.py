"""Training of block autoencoders (paper, section 3.2): data-parallel, many steps a dispatch, resumable."""

import dataclasses
import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nvc_jax.autoencoder.blocks import blend_window
from nvc_jax.autoencoder.networks import (
    VARIANTS,
    ModelConfig,
    Params,
    SpectralConfig,
    bind,
    config_from_dict,
    init_params,
)
from nvc_jax.models.checkpoints import model_card, save_checkpoint
from nvc_jax.models.codec import Codec
from nvc_jax.training.datasets import BlockBatches


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How to train; the defaults are the paper's (section 3.2).

    Attributes:
        model: the model's configuration.
        epochs: passes over all blocks.
        batch_size: blocks a step.
        learning_rate: Adam's, or the peak of the schedule.
        schedule: ``"constant"``, or ``"cosine"``: a linear warm-up over 2 % of the steps, then a
            cosine decay to zero.
        sample_latents: decode a latent sampled around the mean (the VAE's reparametrisation) in
            training; False decodes the mean.
        kl_weight: weight of the latents' KL divergence from a unit normal, per block.
        loss_window: ``"uniform"`` weighs all voxels of a block alike; ``"blend"`` weighs margins as
            blending does, so that capacity goes where it shows.
        blocks_per_volume: for ``block_batches``: None takes every block of the grid, a number draws that
            many at random positions from each volume.
        augment: mirror and transpose every batch by one of the cube's 48 symmetries.
        steps_per_dispatch: steps in one compiled call.
    """

    model: ModelConfig = VARIANTS["zero-margin"]
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-4
    schedule: str = "constant"
    sample_latents: bool = True
    kl_weight: float = 0.0
    loss_window: str = "uniform"
    blocks_per_volume: int | None = None
    augment: bool = False
    steps_per_dispatch: int = 256

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "steps_per_dispatch"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be at least 1")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` (={self.learning_rate}) must be positive")
        if self.kl_weight < 0:
            raise ValueError(f"`kl_weight` (={self.kl_weight}) must not be negative")
        for name, allowed in (("schedule", ("constant", "cosine")), ("loss_window", ("uniform", "blend"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"`{name}` (={getattr(self, name)!r}) must be one of {allowed}")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready description that ``from_dict`` reads back."""
        return {**dataclasses.asdict(self), "model": self.model.to_dict()}

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> "TrainingConfig":
        """The configuration that ``to_dict`` described; ``model`` may be the name of a variant.

        Raises:
            ValueError: a field is unknown or a value out of range.
        """
        fields = dict(description)
        if unknown := sorted(fields.keys() - {field.name for field in dataclasses.fields(cls)}):
            raise ValueError(f"unknown fields {unknown} in the training configuration")
        model = fields.get("model", "zero-margin")
        if isinstance(model, str):
            if model not in VARIANTS:
                raise ValueError(f"`model` (={model!r}) must be one of {sorted(VARIANTS)} or an object")
            fields["model"] = VARIANTS[model]
        else:
            fields["model"] = config_from_dict(model)
        return cls(**fields)


class TrainingState(NamedTuple):
    """What resuming needs: parameters, optimiser state and steps done."""

    params: Params
    optimizer: optax.OptState
    step: jax.Array


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
        checkpoints = _Checkpoints(Path(directory), config, batches, key)
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


_FITTED = {
    "entropy model": "by counting; classes by Lloyd's algorithm in bits",
    "refinement": "AdamW, at most 8000 steps of 512 blocks",
}


def save_result(
    directory: Path | str,
    config: TrainingConfig,
    sources: Sequence[str],
    codec: Codec,
    history: Sequence[Progress] = (),
) -> None:
    """Save a trained codec as a checkpoint, with a card and the configuration as ``training.json``.

    Raises:
        FileExistsError: ``directory`` exists.
    """
    fitted = isinstance(config.model, SpectralConfig)
    settings = {k: v for k, v in config.to_dict().items() if k not in ("model", "steps_per_dispatch")}
    scores = {}
    if history:
        scores = {"last loss": f"{history[-1].loss:.6f}", "steps": str(history[-1].step)}
        if history[-1].validation_loss is not None:
            scores["validation loss"] = f"{history[-1].validation_loss:.6f}"
    card = model_card(
        Path(directory).name,
        config.model,
        _FITTED if fitted else settings,
        dict.fromkeys(sources, "not stated"),
        scores,
    )
    save_checkpoint(directory, config.model, codec.params, card, config.to_dict())


def evaluate_blocks(config: TrainingConfig, params: Params, blocks: jax.Array | np.ndarray) -> float:
    """Mean squared error over whole blocks, decoded from their latents' means."""
    chunk = 4096
    total = sum(
        float(_squared_error(config.model, params, jnp.asarray(blocks[i : i + chunk])))
        for i in range(0, blocks.shape[0], chunk)
    )
    return total / blocks.size


@functools.partial(jax.jit, static_argnums=0)
def _squared_error(model: ModelConfig, params: Params, blocks: jax.Array) -> jax.Array:
    autoencoder = bind(model, params)
    return jnp.sum((autoencoder.decode(autoencoder.encode(blocks)[0]) - blocks) ** 2)


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


def _loss_weights(config: TrainingConfig) -> np.ndarray:
    """Weight of every voxel of a block in the loss, mean 1."""
    model = config.model
    if config.loss_window == "uniform":
        return np.ones((1, *[model.side] * 3), np.float32)
    window = blend_window(model.block_size, model.margin)
    cube = window[:, None, None] * window[:, None] * window
    return (cube / cube.mean())[None]


def loss_of(config: TrainingConfig, params: Params, blocks: jax.Array, *, key: jax.Array) -> jax.Array:
    """The training loss of one batch: weighted squared error, plus the weighted KL divergence."""
    model = bind(config.model, params)
    mean, log_variance = model.encode(blocks)
    latents = mean
    if config.sample_latents:
        latents += jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
    loss = jnp.mean(_loss_weights(config) * (model.decode(latents) - blocks) ** 2)
    if config.kl_weight:
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, axis=-1)
        loss += config.kl_weight * jnp.mean(divergence)
    return loss


def _random_symmetry(blocks: jax.Array, *, key: jax.Array) -> jax.Array:
    """Apply one random symmetry of the cube to all blocks of a batch."""
    order_key, flip_key = jax.random.split(key)
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    branches = [functools.partial(jnp.transpose, axes=(0, *(axis + 1 for axis in order))) for order in orders]
    blocks = lax.switch(jax.random.randint(order_key, (), 0, len(orders)), branches, blocks)
    for axis, flip in enumerate(jax.random.bernoulli(flip_key, shape=(3,)), start=1):
        blocks = jnp.where(flip, jnp.flip(blocks, axis), blocks)
    return blocks


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
            batch = _random_symmetry(batch, key=augment_key)
        loss, gradients = jax.value_and_grad(loss_of, argnums=1)(config, state.params, batch, key=noise_key)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes; our own code may be strict
            updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainingState(params, optimizer_state, state.step + 1), loss

    return lax.scan(step, state, order)


class _Checkpoints:
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
