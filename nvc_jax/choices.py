"""What the encoder chooses before it quantises: the filter of a volume and the mode of every region."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax import regions, transform
from nvc_jax.blocks import check_shape, grid_shape
from nvc_jax.cells import BLOCK
from nvc_jax.classes import BITS_PER_ERROR
from nvc_jax.regions import Layout

_SAMPLE_SIDE = 32
_MAX_SAMPLES = 12
_WORTH_SIXTEEN, _WORTH_CHANGING_SIZE, _WORTH_PLAIN = 0.98, 0.7, 0.95
"""Shares of others' costs below which it is worth to be mostly large, of another size, and without filter."""


def _cost(step: jax.Array, cells: jax.Array) -> jax.Array:
    """About what each block costs in bits and error, float32 (n,), whatever its class.

    A latent is either dropped, and its square is the error, or coded. Choices by this measure keep over four
    fifths of what choices by all classes' bits gain.
    """
    magnitude = jnp.abs(cells) / step
    coded = 3 + 2 * jnp.log2(1 + magnitude)
    cost = jnp.minimum(BITS_PER_ERROR * magnitude**2, coded).at[0, 0, 0].set(0)
    return jnp.sum(cost, axis=(0, 1, 2))


def _samples(volume: jax.Array) -> jax.Array:
    """A few cubes spread over the volume, (n, side, side, side) or smaller where the volume is."""
    sides = [min(_SAMPLE_SIDE, side) for side in volume.shape]
    corners = list(
        itertools.product(
            *(range(0, length - side + 1, side) for length, side in zip(volume.shape, sides, strict=True))
        )
    )
    chosen = [corners[i * len(corners) // _MAX_SAMPLES] for i in range(_MAX_SAMPLES)]
    chosen = corners if len(corners) <= _MAX_SAMPLES else chosen
    return jnp.stack([lax.slice(volume, c, [a + b for a, b in zip(c, sides, strict=True)]) for c in chosen])


def choose_filter(volume: jax.Array, step: jax.Array) -> jax.Array:
    """The filter that makes a sample of a volume (z, y, x), sides multiples of 8, cheapest; int32."""
    samples = _samples(volume)
    n, *sides = samples.shape
    shape = check_shape(tuple(sides))
    plan = regions.uniform_plan(regions.LAPPED, grid_shape(shape, BLOCK), jnp.array(shape, jnp.int32))
    # One above the other they are a volume, whose filter does not cross from one to the next.
    tower = samples.reshape(n * shape[0], *shape[1:])
    plan = transform.Plan(*(jnp.concatenate([leaf] * n, axis=-3) for leaf in plan))

    def cost(filter_index: jax.Array) -> jax.Array:
        return jnp.sum(transform.map_latents(partial(_cost, step), tower, plan, filter_index))

    costs = lax.map(cost, jnp.arange(len(transform.FILTERS)))
    return jnp.argmin(costs).astype(jnp.int32)


def choose_modes(volume: jax.Array, step: jax.Array, layout: Layout, filter_index: jax.Array) -> jax.Array:
    """The mode of every region, int32 (z, y, x), by what it would cost if its neighbours had the same.

    Where modes meet, the filter does not cross, which costs both sides: most regions have one size, and
    others must be worth it.
    """
    grid = grid_shape(check_shape(volume.shape), BLOCK)

    def cost(mode: jax.Array) -> jax.Array:
        plan = regions.uniform_plan(mode, grid, layout.extent)
        blocks = transform.map_latents(partial(_cost, step), volume, plan, filter_index)
        return regions.add_up(blocks.reshape(grid))

    plain, lapped, large = lax.map(cost, jnp.arange(regions.N_MODES))
    is_whole = regions.is_whole(grid, layout.extent)
    mostly_large = jnp.sum(jnp.where(is_whole, large, lapped)) < _WORTH_SIXTEEN * jnp.sum(lapped)
    small = jnp.where(mostly_large & is_whole, 1 / _WORTH_CHANGING_SIZE, 1)
    large = jnp.where(mostly_large, large, large / _WORTH_CHANGING_SIZE)
    costs = [small * plain / _WORTH_PLAIN, small * lapped, jnp.where(is_whole, large, jnp.inf)]
    return jnp.argmin(jnp.stack(costs), axis=0).astype(jnp.int32)
