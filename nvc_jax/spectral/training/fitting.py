"""One fitting of a spectral model: its profiles one by one, and then the frequencies of all of them.

A fitting has these steps, and reports a loss after each:

1. One for each profile. The loss is the bits of a voxel of the sampled blocks, with their classes.
2. One for each chunk, in each of several passes that count frequencies. The loss is the bits of a voxel for
   all tokens counted so far.
3. One for the filter, if the model has one. The loss is the share of the squared error that the filter
   leaves.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.entropy_model import abstract_entropy_model
from nvc_jax.spectral.post_filter import abstract_filter
from nvc_jax.spectral.profiles import Profiles, stack_profiles, take_profile
from nvc_jax.spectral.training.chunks import ChunkLoader
from nvc_jax.spectral.training.entropy_model import fit_profile, take_counts
from nvc_jax.spectral.training.filter_samples import sample_voxels
from nvc_jax.spectral.training.post_filter import fit_filter
from nvc_jax.spectral.training.samples import (
    round_samples,
    sample_coefficients,
    split_by_rate,
)
from nvc_jax.spectral.training.settings import STEP_RANGE
from nvc_jax.spectral.training.symbol_counts import Counts, Totals, count_chunks, no_counts
from nvc_jax.training.optimizer import TrainingState
from nvc_jax.training.progress import TrainingProgress
from nvc_jax.transform.block_layout import N_COEFFICIENTS

Step = tuple[TrainingProgress, TrainingState]
"""Report of a step of a fitting, and the state after it."""


def _never() -> bool:
    return False


class Fitting(NamedTuple):
    """A fitting of a model to chunks.

    Its state has the fields of ``TrainingState``: ``params`` are the parameters so far, ``optimizer`` the
    totals of the pass that is under way, and ``step`` the number of steps that are done, all on the host.

    Attributes:
        config: of the model.
        loader: of the chunks.
        blocks_per_volume: number of blocks of each chunk to learn classes from.
        seed: the only source of randomness.
        is_over: tells after every step whether to make a whole model of what there is. At least one profile
            is fitted, whose copies then stand for those to come, and one group of chunks is counted.
    """

    config: SpectralConfig
    loader: ChunkLoader
    blocks_per_volume: int
    seed: int
    is_over: Callable[[], bool] = _never

    @property
    def total_steps(self) -> int:
        """Steps of the fitting; there are two passes for two quantisers.

        Where these let blocks end depends on the tables of ends of block.
        """
        return self._counted_steps + (self.config.n_filter_units > 0)

    @property
    def _counted_steps(self) -> int:
        """Steps before that of the filter."""
        return self.config.n_profiles + self.config.n_quantizers * len(self.loader.chunks)

    def begin(self) -> TrainingState:
        """Make the state before the first step."""
        config = self.config
        sizes = (config.latent_dim, config.n_classes, config.n_tables, config.n_quantizers)
        abstract = abstract_entropy_model(*sizes, config.n_contexts, config.n_header_contexts)
        model = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract)
        profiles = jax.device_get(stack_profiles([model] * self.config.n_profiles))
        # A network of zeros corrects nothing: it is that of a fitting that is over before its last step.
        unfitted = abstract_filter(self.config.n_filter_units)
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), unfitted)
        return TrainingState({"entropy": dict(profiles), **zeros}, no_counts(profiles), np.array(0, np.int32))

    def run(self, state: TrainingState) -> Iterator[Step]:
        """Take the steps that are left."""
        if state.step < self.config.n_profiles:
            for progress, reached in self._fit_profiles(state):
                yield progress, reached
                state = reached
        while state.step < self._counted_steps:
            for progress, reached in self._count(state):
                yield progress, reached
                state = reached
        if state.step < self.total_steps:
            yield self._fit_filter(state)

    def _fit_profiles(self, state: TrainingState) -> Iterator[Step]:
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
            step = n_profiles if self.is_over() else i + 1
            reached = _take_profiles(state, jax.device_get(stack_profiles(models)), state.optimizer, step)
            yield self._report(step, bits, len(values), groups.timing()), reached
            if step == n_profiles:
                return

    def _count(self, state: TrainingState) -> Iterator[Step]:
        """Count the chunks of a pass that are left, and take the frequencies from them at its end."""
        profiles, n_chunks = state.params["entropy"], len(self.loader.chunks)
        n_before = int(state.step) - (int(state.step) - self.config.n_profiles) % n_chunks
        first = int(state.step) - n_before
        for n_counted, totals, timing in count_chunks(
            profiles, self.loader, state.optimizer, first, STEP_RANGE
        ):
            n_blocks = sum(chunk.n_blocks for chunk in self.loader.chunks[first:n_counted])
            is_over, first = self.is_over(), n_counted
            step = self.total_steps if is_over else n_before + n_counted
            progress = self._report(step, _bits_of_voxel(totals), n_blocks, timing)
            if n_counted == n_chunks or is_over:
                profiles, totals = _take_all_counts(profiles, totals), no_counts(profiles)
            yield progress, _take_profiles(state, profiles, totals, step)
            if is_over:
                return

    def _fit_filter(self, state: TrainingState) -> Step:
        """Fit the filter, which is the last step."""
        began = time.perf_counter()
        samples = sample_voxels(state.params["entropy"], self.loader, seed=self.seed)
        arguments = (samples, self.config.n_filter_units, self.blocks_per_volume, self.loader.mesh)
        network, share_left = fit_filter(*arguments, seed=self.seed)
        n_blocks, seconds = sum(chunk.n_blocks for chunk in self.loader.chunks), time.perf_counter() - began
        params = {**state.params, "filter": network}
        reached = TrainingState(params, state.optimizer, np.array(self.total_steps, np.int32))
        timing = {"seconds": seconds, "data_wait": 0.0}
        return self._report(self.total_steps, share_left, n_blocks, timing), reached

    def _report(self, step: int, loss: float, n_blocks: int, timing: dict[str, float]) -> TrainingProgress:
        return TrainingProgress(step, self.total_steps, loss, None, n_blocks / timing["seconds"], **timing)


def _take_profiles(state: TrainingState, profiles: Profiles, totals: Totals, step: int) -> TrainingState:
    """Put profiles, totals and the number of steps in the place of those of a state."""
    params = {**state.params, "entropy": dict(profiles)}
    return TrainingState(params, totals, np.array(step, np.int32))


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
    n_blocks = totals[Counts._fields.index("ends_of_block")].sum()
    return bits / (n_blocks * N_COEFFICIENTS)
