"""Blocks to fit the entropy model on: latents of random blocks of volumes, at many steps."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.spectral.class_decision import round_above
from nvc_jax.spectral.training.symbol_counts import centred
from nvc_jax.transform import block_modes, lapped, lapped_filter, partial_blocks
from nvc_jax.transform.block_dct import BLOCK_SIZE

STEPS = (0.0015, 0.4)
"""Smallest and largest step, of one quantiser, of the blocks that the model is fitted on."""
_N_PORTIONS = 7
"""Steps at which the blocks of a volume are looked at, each by a share of them."""
_OVERLAP = 0.5
"""How far profiles are fitted beyond their own rates, in shares of those: what is rare in one is less so."""

_round = jax.jit(lambda values: round_above(values, jnp.float32(0.6), jnp.float32(0.6)))


def step_at(share: float | np.ndarray) -> Any:
    """The steps that lie so far, from 0 to 1, from the first of STEPS to the last, as logarithms go."""
    smallest, largest = np.log(STEPS)
    return np.exp(smallest + share * (largest - smallest))


@jax.jit
def _latents(unit: jax.Array, valid_shape: jax.Array, filter_index: jax.Array, mode: jax.Array) -> jax.Array:
    """Latents of a volume, all of whose superblocks have one mode."""
    grid = grid_shape(check_shape(unit.shape), BLOCK_SIZE)
    plan = block_modes.uniform_plan(mode, grid, valid_shape)
    return lapped.forward(partial_blocks.stretch(unit, valid_shape), plan, filter_index)


def sample_latents(volumes: Iterable[np.ndarray], blocks_per_volume: int, *, seed: int) -> list[np.ndarray]:
    """Latents of random blocks in steps, by every filter and size.

    Returns:
        *Portions*, float32 (n, 512) each: blocks of one volume at one step.
    """
    rng = np.random.default_rng(seed)
    portions = []
    for volume in volumes:
        unit, valid_shape = centred(volume)
        ways = [(index, block_modes.LAPPED) for index in range(len(lapped_filter.FILTERS))]
        for index, mode in [*ways, (lapped_filter.FILTERS.index("half"), block_modes.LARGE)]:
            latents = np.asarray(_latents(unit, valid_shape, jnp.int32(index), jnp.int32(mode)))
            chosen = rng.permutation(len(latents))[:blocks_per_volume]
            shares = (np.arange(_N_PORTIONS) + rng.random(_N_PORTIONS)) / _N_PORTIONS
            steps = step_at(shares).astype(np.float32)
            parts = np.array_split(latents[chosen], _N_PORTIONS)
            portions += [part / step for part, step in zip(parts, steps, strict=True) if len(part)]
    return portions


def round_latents(values: np.ndarray) -> np.ndarray:
    """What latents in steps (n, 512) are rounded to before there is a model, int32."""
    return np.array(_round(jnp.asarray(values)))


def loudness_of(magnitude: np.ndarray) -> np.ndarray:
    """About the bits of blocks whatever their classes, (n,), from magnitudes (n, 512)."""
    return np.log2(1 + magnitude).sum(axis=1)


def split_by_rate(portions: list[np.ndarray], n_parts: int) -> list[np.ndarray]:
    """Which portions, integers (n, 512) each, profiles are fitted on, from low rates to high."""
    by_rate = np.argsort([loudness_of(np.abs(of[:, 1:])).mean() for of in portions], kind="stable")
    width = len(by_rate) / n_parts
    limits = [(int((i - _OVERLAP) * width), int((i + 1 + _OVERLAP) * width)) for i in range(n_parts)]
    return [by_rate[max(0, first) : last] for first, last in limits]
