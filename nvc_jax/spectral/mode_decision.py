"""Mode decision: the filter of a volume and the mode of every superblock, chosen before quantisation.

The encoder transforms a few cubes of the volume with every candidate, a (filter, mode) pair, and estimates
their cost in bits and error. The cheapest candidate serves the volume. Then, if the sample says that it is
worth the time, every superblock is compared with itself without the filter.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import BITS_PER_SQUARED_STEP
from nvc_jax.spectral.sample_cubes import SampleCubes, draw_cubes
from nvc_jax.transform import block_modes, lapped, lapped_filter
from nvc_jax.transform.plan import TransformPlan
from nvc_jax.transform.planar_blocks import BLOCK_SIZE

_BITS_OF_CODED, _BITS_PER_OCTAVE = 3, 2
"""Estimated bits of a coded coefficient: 3, and 2 for each doubling of 1 + magnitude in steps."""
_LARGE_COST_RATIO = 0.98
"""Ratio of costs below which large blocks are chosen over small ones: costs are estimates, so small blocks
win near ties.
No measurement of the value is on record."""
_PLAIN_COST_RATIO = 0.95
"""Ratio of costs below which a superblock is plain: it must also pay for its neighbours, which the filter no
longer joins to it."""
_MIN_PLAIN_GAIN = 0.005
"""All superblocks are compared only if plain ones save at least 0.5 % of the sample's cost."""


def block_costs(step: jax.Array, coefficients: jax.Array) -> jax.Array:
    """Estimate the cost of each block in bits and error, whatever its class.

    A coefficient is either dropped, and its square is the error, or coded. Choices by this estimate keep over
    four fifths of the gain of choices by the bits of all classes.

    Args:
        step: float32, of one quantiser, in the coefficients' units.
        coefficients: float32 (8, 8, 8, n).

    Returns:
        float32 (n,), in bits.
    """
    magnitude = jnp.abs(coefficients) / step
    coded = _BITS_OF_CODED + _BITS_PER_OCTAVE * jnp.log2(1 + magnitude)
    cost = jnp.minimum(BITS_PER_SQUARED_STEP * magnitude**2, coded).at[0, 0, 0].set(0)
    return jnp.sum(cost, axis=(0, 1, 2))


def choose_modes(
    volume: jax.Array, step: jax.Array, valid_shape: jax.Array, options: EncoderOptions = DEFAULT_OPTIONS
) -> tuple[jax.Array, jax.Array]:
    """Choose the filter of a volume and the modes of its superblocks.

    A sample decides on the filter and the size of blocks, together. Superblocks with hard edges cost less
    without the filter; the sample also tells whether there are enough of them to compare all superblocks.

    Args:
        volume: float32 (z, y, x), sides multiples of 8, its partial blocks stretched.
        step: float32, of one quantiser, in the volume's units.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        options: of the encoder.

    Returns:
        int32, of ``lapped_filter.FILTERS``, and int32 (z, y, x), one of ``block_modes``' modes for each
        superblock.
    """
    cubes = draw_cubes(volume, step, valid_shape)
    names, candidate_modes = zip(*options.candidates, strict=True)
    filters = jnp.array([lapped_filter.FILTERS.index(name) for name in names], jnp.int32)
    uniform_modes = jnp.array(candidate_modes, jnp.int32)

    costs = lax.map(lambda candidate: _sample_costs(cubes, step, *candidate), (filters, uniform_modes))
    totals = jnp.sum(costs, axis=(1, 2, 3, 4))
    best = jnp.argmin(
        totals / jnp.where(uniform_modes == block_modes.LARGE, jnp.float32(_LARGE_COST_RATIO), 1)
    )
    filter_index, mode = filters[best], uniform_modes[best]

    grid = grid_shape(check_shape(volume.shape), BLOCK_SIZE)
    modes = jnp.where(block_modes.is_complete(grid, valid_shape), mode, block_modes.LAPPED)
    if not options.tries_plain_superblocks:
        return filter_index, modes
    # costs[0] is the cost without filter, as in plain superblocks.
    gain = jnp.sum(jnp.maximum(costs[best] - costs[0] / _PLAIN_COST_RATIO, 0))
    modes = lax.cond(
        gain > _MIN_PLAIN_GAIN * totals[best],
        lambda modes: _choose_plain(volume, step, modes, valid_shape, filter_index),
        lambda modes: modes,
        modes,
    )
    return filter_index, modes


def _sample_costs(cubes: SampleCubes, step: jax.Array, filter_index: jax.Array, mode: jax.Array) -> jax.Array:
    """Estimate the costs of a sample's superblocks if all have one filter and one mode.

    Returns:
        float32 (n, z, y, x), for each cube and superblock, times the cube's weight.
    """
    n = len(cubes.weights)
    z, y, x = grid_shape(check_shape(cubes.tower.shape), BLOCK_SIZE)
    grid = (z // n, y, x)
    plans = jax.vmap(lambda valid_shape: block_modes.uniform_plan(mode, grid, valid_shape))(
        cubes.valid_shapes
    )
    # The plans of all cubes one above the other, like the cubes.
    plan = TransformPlan(*(jnp.moveaxis(leaf, 0, 1).reshape(3, z, y, x) for leaf in plans))
    blocks = lapped.map_coefficients(partial(block_costs, step), cubes.tower, plan, filter_index)
    by_superblock = jax.vmap(block_modes.sum_over_superblocks)(blocks.reshape(n, *grid))
    return by_superblock * cubes.weights[:, None, None, None]


def _choose_plain(
    volume: jax.Array, step: jax.Array, modes: jax.Array, valid_shape: jax.Array, filter_index: jax.Array
) -> jax.Array:
    """Set superblocks to PLAIN where that costs less, if a superblock's neighbours were PLAIN, too."""
    grid = grid_shape(check_shape(volume.shape), BLOCK_SIZE)

    def superblock_costs(modes: jax.Array) -> jax.Array:
        plan = block_modes.make_plan(modes, grid, valid_shape)
        blocks = lapped.map_coefficients(partial(block_costs, step), volume, plan, filter_index)
        return block_modes.sum_over_superblocks(blocks.reshape(grid))

    usual, plain = lax.map(superblock_costs, jnp.stack([modes, jnp.full_like(modes, block_modes.PLAIN)]))
    return jnp.where(plain < _PLAIN_COST_RATIO * usual, block_modes.PLAIN, modes)
