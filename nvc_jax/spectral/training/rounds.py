"""Training in limited time: fittings of growing sizes. The last one that is whole is the model.

A round takes about twice the time of the round before: first it has more chunks, and from when it has all,
more blocks of each. A round begins only if it is likely to end in time, and is dropped if it does not. The
first one is cut short instead, so that there is a whole model in any case.
"""

import dataclasses
from collections.abc import Iterator, MutableMapping
from typing import NamedTuple

import numpy as np

from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.chunks import ChunkLoader
from nvc_jax.spectral.training.fitting import Fitting, Step
from nvc_jax.spectral.training.samples import N_PORTIONS
from nvc_jax.training.optimizer import TrainingState
from nvc_jax.training.time_limit import TimeLimit

_FIRST_CHUNKS, _FIRST_BLOCKS = 4, 1000
"""Chunks of the first round, and blocks of each."""
_GROWTH = 2
"""Ratio of the sizes of neighbouring rounds. All rounds together take twice the time of the last one."""
_SLOWDOWN = 2.25
"""Ratio of the times of neighbouring rounds that is expected: long rounds were measured to take 2.1 times."""
_MOST_BLOCKS = 1 << 18
"""Sampled blocks of a round, at most: 0.5 GiB of coefficients, which are copied a few times."""

_ROUND, _FIRST_STEP, _BEGAN = "round", "first_step", "round_began"
_SECONDS, _LOSS = "round_seconds", "round_loss"
"""Notes of checkpoints: of the round under way its number, the steps before it and the time when it began; of
the last whole round its duration and its loss."""


class Size(NamedTuple):
    """Size of a round.

    Attributes:
        n_chunks: number of chunks.
        blocks_per_volume: number of blocks of each.
    """

    n_chunks: int
    blocks_per_volume: int


def round_sizes(chunk_blocks: list[int]) -> Iterator[Size]:
    """List the sizes of all rounds.

    Args:
        chunk_blocks: number of blocks of each chunk.
    """
    n_all = len(chunk_blocks)
    most = max(1, min(N_PORTIONS * max(chunk_blocks), _MOST_BLOCKS // n_all))
    n_chunks, blocks = min(_FIRST_CHUNKS, n_all), min(_FIRST_BLOCKS, most)
    yield Size(n_chunks, blocks)
    while (n_chunks, blocks) != (n_all, most):
        if n_chunks < n_all:
            n_chunks = min(_GROWTH * n_chunks, n_all)
        else:
            blocks = min(_GROWTH * blocks, most)
        yield Size(n_chunks, blocks)


class Rounds:
    """Rounds of a training in limited time.

    Its state has the fields of ``TrainingState``: ``params`` are those of the last whole round, ``optimizer``
    the parameters and the totals of the round under way, and ``step`` the number of steps of all rounds.

    Args:
        config: of the model.
        loader: of all chunks; rounds take the first ones of a random order.
        seed: the only source of randomness.
        limit: of the time.
        notes: of the last checkpoint; brought up to date before every step is returned.
    """

    def __init__(
        self,
        config: SpectralConfig,
        loader: ChunkLoader,
        seed: int,
        limit: TimeLimit,
        notes: MutableMapping[str, float],
    ) -> None:
        self._config, self._loader, self._seed = config, loader.shuffle(seed), seed
        self._limit, self._notes = limit, notes
        self._sizes = list(round_sizes([chunk.n_blocks for chunk in loader.chunks]))

    def begin(self) -> TrainingState:
        """Make the state before the first step."""
        params, totals, step = self._fitting(0).begin()
        return TrainingState(params, (params, totals), step)

    def run(self, state: TrainingState) -> Iterator[Step]:
        """Take the steps of the rounds that are left."""
        while (number := int(self._notes.get(_ROUND, 0))) < len(self._sizes):
            is_begun = int(state.step) > self._notes.get(_FIRST_STEP, 0)
            if not self._goes_on(number, is_begun=is_begun):
                return
            if not is_begun:
                self._notes[_BEGAN] = self._limit.used_by_first()
            for progress, reached in self._run_round(number, state):
                yield progress, reached
                state = reached

    def _goes_on(self, number: int, *, is_begun: bool) -> bool:
        """Tell whether to take steps of a round; the first one gives a model in any case."""
        if number == 0:
            return True
        return self._limit.left() > 0 if is_begun else self._is_affordable()

    def _run_round(self, number: int, state: TrainingState) -> Iterator[Step]:
        """Take the steps of a round that are left."""
        fitting, first_step = self._fitting(number), int(self._notes.get(_FIRST_STEP, 0))
        whole, (params, totals), n_done = state.params, state.optimizer, int(state.step) - first_step
        begun = TrainingState(params, totals, np.array(n_done, np.int32)) if n_done else fitting.begin()
        for progress, inner in fitting.run(begun):
            step = first_step + int(inner.step)
            total_steps, loss = first_step + fitting.total_steps, progress.loss
            if step == total_steps:
                whole = inner.params
                total_steps += self._finish(number, step, loss)
            elif number > 0 and self._limit.left() <= 0:
                total_steps, loss = step, self._notes[_LOSS]
            yield (
                dataclasses.replace(progress, step=step, total_steps=total_steps, loss=loss),
                TrainingState(whole, (inner.params, inner.optimizer), np.array(step, np.int32)),
            )
            if step == total_steps:
                return

    def _finish(self, number: int, step: int, loss: float) -> int:
        """Note that a round is done; return the steps of the next one, if there is one."""
        seconds = self._limit.used_by_first() - self._notes[_BEGAN]
        self._notes.update({_ROUND: number + 1, _FIRST_STEP: step, _SECONDS: seconds, _LOSS: loss})
        is_last = number + 1 == len(self._sizes) or not self._is_affordable()
        return 0 if is_last else self._fitting(number + 1).total_steps

    def _is_affordable(self) -> bool:
        """Tell whether the next round is likely to end in time."""
        return _SLOWDOWN * self._notes[_SECONDS] <= self._limit.left()

    def _fitting(self, number: int) -> Fitting:
        n_chunks, blocks = self._sizes[number]
        fitting = Fitting(self._config, self._loader.take(n_chunks), blocks, self._seed)
        return fitting if number else fitting._replace(is_over=lambda: self._limit.left() <= 0)
