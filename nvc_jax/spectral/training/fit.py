"""Fitting of a spectral model: its profiles one by one, and then the frequencies of all of them.

The steps of a run are these: one for each profile, and in each pass over the chunks, by which frequencies are
counted, one for each chunk. The loss of a step is the bits of a voxel that its tables are fitted to: those of
the sampled blocks with their classes, and then those of all tokens that are counted so far.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.io.volumes import open_steps
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.entropy_model import abstract_entropy_model
from nvc_jax.spectral.profiles import Profiles, stack_profiles, take_profile
from nvc_jax.spectral.training.chunks import ChunkLoader, choose_chunks
from nvc_jax.spectral.training.entropy_model import fit_profile, take_counts
from nvc_jax.spectral.training.samples import (
    round_samples,
    sample_coefficients,
    split_by_rate,
)
from nvc_jax.spectral.training.settings import BLOCKS_PER_VOLUME, STEP_RANGE
from nvc_jax.spectral.training.symbol_counts import Totals, count_chunks, no_counts
from nvc_jax.training.config import volume_names
from nvc_jax.training.mesh import make_mesh
from nvc_jax.training.optimizer import TrainingState
from nvc_jax.training.progress import RunOptions, TrainedParams, TrainingProgress
from nvc_jax.training.supervision import Supervisor
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS


def fit_spectral(
    volumes: Sequence[Any],
    config: SpectralConfig,
    *,
    seed: int = 0,
    blocks_per_volume: int = BLOCKS_PER_VOLUME,
) -> Params:
    """Fit a spectral model on volumes.

    Args:
        volumes: volumes that ``open_volume`` takes.
        config: number of profiles, classes, tables and quantisers.
        seed: the only source of randomness.
        blocks_per_volume: number of blocks of each chunk to learn classes from.

    Returns:
        Parameters of the encoder and the decoder: ``entropy``.
    """
    return train_spectral(volumes, config, RunOptions(seed=seed), blocks_per_volume=blocks_per_volume).params


def train_spectral(
    volumes: Sequence[Any],
    config: SpectralConfig,
    options: RunOptions,
    *,
    blocks_per_volume: int = BLOCKS_PER_VOLUME,
) -> TrainedParams:
    """Fit a spectral model on volumes, as ``options`` say.

    Devices, of one process or of many, work on chunks of their own. The parameters do not depend on their
    number, up to rounding.

    Args:
        volumes: volumes that ``open_volume`` takes.
        config: number of profiles, classes, tables and quantisers.
        options: of the run; ``validation`` is not used. Checkpoints are written after every profile and
            every chunk that is counted.
        blocks_per_volume: number of blocks of each chunk to learn classes from.

    Raises:
        Preempted: SIGTERM was received; the state is saved, if there is a directory.
        ValueError: a directory that holds another run.
    """
    mesh = make_mesh(options.devices)
    stores = [store for volume in volumes for store in open_steps(volume)]
    loader = ChunkLoader(choose_chunks(stores, seed=options.seed), mesh)
    names = volume_names(volumes)
    run = {
        "config": config.to_dict(),
        "blocks_per_volume": blocks_per_volume,
        "seed": options.seed,
        "sources": list(names),
        "shapes": [list(store.shape) for store in stores],
    }
    fitting = _Fitting(config, loader, blocks_per_volume, options.seed)
    with Supervisor(options, run, mesh) as supervisor:
        state = supervisor.restore(fitting.begin())
        for progress, reached in fitting.run(state):
            supervisor.report(progress, reached, is_milestone=True)
            state = reached
    return TrainedParams(state.params, names, tuple(supervisor.history))


class _Fitting(NamedTuple):
    """A run.

    Its state has the fields of ``TrainingState``: ``params`` are the parameters so far, ``optimizer`` the
    totals of the pass that is under way, and ``step`` the number of steps that are done, all on the host.
    """

    config: SpectralConfig
    loader: ChunkLoader
    blocks_per_volume: int
    seed: int

    @property
    def total_steps(self) -> int:
        """Steps of the run; there are two passes for two quantisers.

        Where these let blocks end depends on the tables of ends of block.
        """
        return self.config.n_profiles + self.config.n_quantizers * len(self.loader.chunks)

    def begin(self) -> TrainingState:
        """Make the state before the first step."""
        sizes = self.config.latent_dim, self.config.n_classes, self.config.n_tables, self.config.n_quantizers
        model = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract_entropy_model(*sizes))
        profiles = jax.device_get(stack_profiles([model] * self.config.n_profiles))
        return _make_state(profiles, no_counts(profiles), 0)

    def run(self, state: TrainingState) -> Iterator[tuple[TrainingProgress, TrainingState]]:
        """Run the steps that are left."""
        if state.step < self.config.n_profiles:
            for progress, reached in self._fit_profiles(state):
                yield progress, reached
                state = reached
        while state.step < self.total_steps:
            for progress, reached in self._count(state):
                yield progress, reached
                state = reached

    def _fit_profiles(self, state: TrainingState) -> Iterator[tuple[TrainingProgress, TrainingState]]:
        """Fit the profiles that are left."""
        n_profiles, profiles = self.config.n_profiles, state.params["entropy"]
        groups = self.loader.groups()
        portions = list(sample_coefficients(groups, self.blocks_per_volume, seed=self.seed))
        rounded = [round_samples(portion) for portion in portions]
        frequency = sum((integers[:, 1:] != 0).sum(axis=0) for integers in rounded)
        order = 1 + np.argsort(-frequency, kind="stable")
        models = [take_profile(profiles, i) for i in range(n_profiles)]
        for i, chosen in list(enumerate(split_by_rate(rounded, n_profiles)))[int(state.step) :]:
            values, integers = (np.concatenate([part[j] for j in chosen]) for part in (portions, rounded))
            model, bits = fit_profile(values, integers, order, self.config, self.loader.mesh)
            # Profiles that are still to come stand in as copies, because all have one order of coefficients.
            models[i:] = [model] * (n_profiles - i)
            reached = _make_state(jax.device_get(stack_profiles(models)), state.optimizer, i + 1)
            yield self._report(i + 1, bits, len(values), groups.timing()), reached

    def _count(self, state: TrainingState) -> Iterator[tuple[TrainingProgress, TrainingState]]:
        """Count the chunks of a pass that are left, and take the frequencies from them at its end."""
        profiles, n_chunks = state.params["entropy"], len(self.loader.chunks)
        n_before = int(state.step) - (int(state.step) - self.config.n_profiles) % n_chunks
        first = int(state.step) - n_before
        for n_counted, totals, timing in count_chunks(
            profiles, self.loader, state.optimizer, first, STEP_RANGE
        ):
            n_blocks = sum(self._count_blocks(number) for number in range(first, n_counted))
            step, first = n_before + n_counted, n_counted
            progress = self._report(step, _bits_of_voxel(totals), n_blocks, timing)
            if n_counted == n_chunks:
                profiles, totals = _take_all_counts(profiles, totals), no_counts(profiles)
            yield progress, _make_state(profiles, totals, step)

    def _count_blocks(self, number: int) -> int:
        return math.prod(grid_shape(check_shape(self.loader.chunks[number].shape), BLOCK_SIZE))

    def _report(self, step: int, loss: float, n_blocks: int, timing: dict[str, float]) -> TrainingProgress:
        return TrainingProgress(step, self.total_steps, loss, None, n_blocks / timing["seconds"], **timing)


def _make_state(profiles: Profiles, totals: Totals, step: int) -> TrainingState:
    return TrainingState({"entropy": dict(profiles)}, totals, np.array(step, np.int32))


def _take_all_counts(profiles: Profiles, totals: Totals) -> Profiles:
    """Take the frequencies of all profiles from counted tokens."""
    models = [
        take_counts(take_profile(profiles, i), counts) for i, counts in enumerate(zip(*totals, strict=True))
    ]
    return jax.device_get(stack_profiles(models))


def _bits_of_voxel(totals: Totals) -> float:
    """Compute the bits of a voxel's tokens, ends of block and classes, by the tables that fit them best."""
    bits = 0.0
    for total in totals:
        shares = total / np.maximum(total.sum(axis=-1, keepdims=True), 1)
        bits -= float((total * np.log2(np.where(total > 0, shares, 1))).sum())
    n_blocks = totals[1].sum()
    return bits / (n_blocks * N_COEFFICIENTS)
