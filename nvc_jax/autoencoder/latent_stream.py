"""Entropy-coded streams of block autoencoders' latents: quantisation, prediction, coding, and their inverses.

A step in the unit of the latents makes them integers. Each latent dimension is differenced along the axes of
the block grid that make its differences smallest, then coded by two-sided geometric distributions around the
dimension's mean magnitude. The stream stores both choices in one byte per dimension; no model holds them.
Within a block, the magnitudes coded so far, relative to the expected ones, shift the distributions, so that
low-energy blocks cost few bits. The decoder repeats all this with integers only.
"""

import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.entropy import adaptive_geometric, geometric_adaptation
from nvc_jax.entropy.delta_prediction import accumulate, difference
from nvc_jax.entropy.interleaving import max_lanes_for
from nvc_jax.entropy.word_stream import WordStream, varint_bytes, words_from_bytes, words_to_bytes

STEP_LIMITS = (2.0**-12, 2.0**12)
"""Smallest and largest step, in the unit of the latents."""

MAX_INTEGER = 1 << 19
"""Largest magnitude of a quantised latent. Differences along three axes are up to eight times as large, and
the integer coder takes magnitudes below 2**23."""

PREDICTORS = [axes for n in range(4) for axes in itertools.combinations(range(3), n)]
"""Predictors of a latent dimension: the axes of the block grid along which it is differenced."""


class LatentStream(NamedTuple):
    """Entropy-coded latents of a grid of blocks.

    Attributes:
        coded: words of the integers.
        choices: uint8 (latent_dim,), for each dimension 8 times its scale, plus the index of its predictor in
            ``PREDICTORS``.
        step: float32, step of the quantiser in the unit of the latents.
    """

    coded: WordStream
    choices: jax.Array
    step: jax.Array

    @property
    def used_bytes(self) -> jax.Array:
        """Bytes that ``to_bytes`` makes of the stream, int32."""
        return varint_bytes(self.coded.n_lanes) + self.choices.shape[-1] + self.coded.stored_bytes


@jax.jit
def encode_latents(latents: jax.Array, step: jax.Array) -> LatentStream:
    """Quantise and code latents.

    Args:
        latents: float32 (grid_z, grid_y, grid_x, latent_dim); clipped to ±``MAX_INTEGER`` steps.
        step: float32, within ``STEP_LIMITS``.
    """
    integers = jnp.clip(jnp.rint(latents / step), -MAX_INTEGER, MAX_INTEGER).astype(jnp.int32)
    return encode_integers(integers, step)


@functools.partial(jax.jit, static_argnames="grid")
def decode_latents(stream: LatentStream, grid: Shape3) -> jax.Array:
    """Decode the latents of ``encode_latents``, float32 (*grid, latent_dim), within half a step."""
    return decode_integers(stream, grid).astype(jnp.float32) * stream.step


def encode_integers(integers: jax.Array, step: jax.Array) -> LatentStream:
    """Code integers, int32 (grid_z, grid_y, grid_x, latent_dim), of magnitudes up to ``MAX_INTEGER``."""
    differences, predictors = lax.map(_predict, jnp.moveaxis(integers, -1, 0))
    values = differences.reshape(len(differences), -1)
    scales = geometric_adaptation.choose_scales(values)
    choices = (scales * len(PREDICTORS) + predictors).astype(jnp.uint8)
    return LatentStream(adaptive_geometric.encode(values, scales), choices, step)


def decode_integers(stream: LatentStream, grid: Shape3) -> jax.Array:
    """Decode the integers of ``encode_integers``, int32 (*grid, latent_dim)."""
    scales, predictors = jnp.divmod(stream.choices.astype(jnp.int32), len(PREDICTORS))
    values = adaptive_geometric.decode(stream.coded, scales, math.prod(grid))
    inverses = []
    for predictor in PREDICTORS:
        axes, masks = prediction_passes(predictor, grid)
        inverses.append(functools.partial(accumulate, axes=axes, masks=masks))
    differences = values.reshape(-1, *grid)
    integers = lax.map(
        lambda dimension: lax.switch(dimension[1], inverses, dimension[0]), (differences, predictors)
    )
    return jnp.moveaxis(integers, 0, -1)


def prediction_passes(predictor: tuple[int, ...], grid: Shape3) -> tuple[list[int], list[np.ndarray]]:
    """List the axes that a predictor differences along, and for each the blocks that it differences.

    The first passes difference every block along the axes of the predictor. Blocks at the start of all those
    axes have no neighbour there; the further passes difference them along the other axes.

    Returns:
        The axes, and for each a bool mask that broadcasts to the grid.
    """
    axes, masks = list(predictor), [np.ones((1, 1, 1), bool)] * len(predictor)
    if predictor:
        position = np.indices(grid, sparse=True)
        at_start = np.ones((1, 1, 1), bool)
        for axis in predictor:
            at_start = at_start & (position[axis] == 0)
        for axis in set(range(3)) - set(predictor):
            axes.append(axis)
            masks.append(at_start)
            at_start = at_start & (position[axis] == 0)
    return axes, masks


def _predict(integers: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Choose the predictor of one dimension, int32 (z, y, x), whose differences have the smallest sum.

    Returns:
        The differences, int32 (z, y, x), and the index of the predictor, int32.
    """
    grid = check_shape(integers.shape)
    candidates = jnp.stack([difference(integers, *prediction_passes(axes, grid)) for axes in PREDICTORS])
    sums = jnp.sum(jnp.abs(candidates).astype(jnp.float32), axis=(1, 2, 3))
    best = jnp.argmin(sums).astype(jnp.int32)
    return candidates[best], best


def to_bytes(stream: LatentStream) -> bytes:
    """Serialise a stream, without its step and its grid."""
    header = encode_varints(int(stream.coded.n_lanes)) + np.asarray(stream.choices).tobytes()
    return header + words_to_bytes(stream.coded)


def from_bytes(stored: bytes, grid: Shape3, latent_dim: int, step: float) -> LatentStream:
    """Read the stream that ``to_bytes`` serialised.

    Args:
        stored: from ``to_bytes``.
        grid: blocks along z, y and x.
        latent_dim: latents of one block.
        step: step of the quantiser, in the unit of the latents.

    Raises:
        ValueError: the stream cannot be of such a grid.
    """
    (n_lanes,), start = decode_varints(stored, 1)
    if len(stored) < start + latent_dim:
        raise ValueError(f"a stream of {len(stored)} bytes lacks the choices of {latent_dim} dimensions")
    n_blocks = math.prod(grid)
    capacity = adaptive_geometric.capacity(n_blocks, latent_dim)
    coded = words_from_bytes(stored[start + latent_dim :], n_lanes, max_lanes_for(n_blocks), capacity)
    choices = np.frombuffer(stored, np.uint8, latent_dim, start)
    return LatentStream(coded, jnp.asarray(choices), jnp.float32(step))
