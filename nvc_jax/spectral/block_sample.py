"""Sample of the blocks of a volume, drawn by their energy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.systematic_sampling import FLOORS, draw_systematic, shuffle
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.transform.group_separable import EnergyRule

_N_DRAWN = 128
"""Blocks of a sample, if there are so many: it takes the same time for every volume."""
_MAX_ENERGY = 2.0
"""A coefficient counts with at most 2 steps in the estimate of a block's bits, because bits grow slowly with
magnitude."""


def energy_rule(single_steps: float) -> EnergyRule:
    """Make the rule of energies by which blocks are drawn.

    Args:
        single_steps: steps of one quantiser in each step of the values.
    """
    return EnergyRule(single_steps, _MAX_ENERGY)


def draw_blocks(
    values: jax.Array, inside: jax.Array, single_steps: float, energies: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Draw blocks, the likelier the more energy they have, as in a volume that is mostly empty few count.

    Args:
        values: float32 (n, 512), coefficients in steps.
        inside: bool (n,), blocks that may be drawn.
        single_steps: steps of one quantiser in each of these steps.
        energies: float32 (n,), by ``energy_rule``, if they are known. The kernel of CPUs computes its own.

    Returns:
        int32 indices of the blocks drawn, and float32, their weights: see ``draw_systematic``.
    """
    if energies is None:
        energies = jnp.sum(energy_rule(single_steps).energies(values[:, 1:]), axis=1)
    kernel = partial(_by_kernel, single_steps=single_steps)

    def reference(_: jax.Array, energies: jax.Array, inside: jax.Array) -> tuple[jax.Array, jax.Array]:
        return draw_by_energies(energies, inside)

    return on_cpu(kernel, reference, values, energies, inside)


def take_blocks(values: jax.Array, drawn: jax.Array) -> jax.Array:
    """Take the blocks that are drawn, float32 (m, 512), of all blocks, float32 (n, 512)."""

    def take(values: jax.Array, drawn: jax.Array) -> jax.Array:
        return values[drawn]

    def take_columns(values: jax.Array, drawn: jax.Array) -> jax.Array:
        return values.T[:, drawn].T

    return on_cpu(take, take, values, drawn, gpu=take_columns)


def draw_by_energies(energies: jax.Array, inside: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Draw blocks by their energies in ``jax.numpy``: the specification of the kernel."""
    return draw_systematic(energies, inside, min(_N_DRAWN, len(inside)))


def _by_kernel(
    values: jax.Array, _: jax.Array, inside: jax.Array, *, single_steps: float
) -> tuple[jax.Array, jax.Array]:
    """Draw blocks by the native kernel; energies differ from the reference's by roundings."""
    n = min(_N_DRAWN, len(values))
    results = (jax.ShapeDtypeStruct((n,), jnp.int32), jax.ShapeDtypeStruct((n,), jnp.float32))
    numbers = {
        "scale": np.float32(single_steps),
        "limit": np.float32(_MAX_ENERGY),
        "floors": FLOORS,
    }
    drawn, weights = call(
        "nvc_draw_blocks", results, values, inside, jnp.asarray(shuffle(len(values))), **numbers
    )
    return drawn, weights
