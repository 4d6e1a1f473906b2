"""Latents of the block autoencoders as one entropy-coded stream: quantised, predicted, coded; and back.

A step in the unit of the latents makes them integers. Each latent dimension is differenced along the axes of
the block grid that suit it, and coded by two-sided geometric distributions around its own mean magnitude:
both choices take one byte in the stream, and no model holds them. Within a block, the magnitudes so far
against those expected shift the distribution, so that quiet blocks cost little. The decoder follows with
integers only.
"""

import functools
import itertools
import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.entropy import adaptive_geometric
from nvc_jax.entropy.interleaving import read_words, used_words

STEPS = (2.0**-12, 2.0**12)
"""Smallest and largest step, in the unit of the latents."""

_MAX_INTEGER = 1 << 19  # differences along three axes are up to eight times as large
# Axes of the grid along which a latent dimension may be differenced.
_PREDICTORS = [axes for n in range(4) for axes in itertools.combinations(range(3), n)]


class LatentStream(NamedTuple):
    """Entropy-coded latents of a grid of blocks.

    Attributes:
        words: uint16 (capacity,), the stream in a buffer of static size.
        used: int32, how many of the words are in use.
        n_lanes: int32, lanes of the stream.
        choices: uint8 (latent_dim,), each dimension's scale times 8, plus its predictor.
        step: float32, of the quantiser, in the unit of the latents.
    """

    words: jax.Array
    used: jax.Array
    n_lanes: jax.Array
    choices: jax.Array
    step: jax.Array


@jax.jit
def encode_latents(latents: jax.Array, step: jax.Array) -> LatentStream:
    """Quantise and code latents.

    Args:
        latents: float32 (grid_z, grid_y, grid_x, latent_dim). Beyond 2**19 steps they are clipped.
        step: float32, within STEPS.
    """
    integers = jnp.clip(jnp.rint(latents / step), -_MAX_INTEGER, _MAX_INTEGER).astype(jnp.int32)
    return encode_integers(integers, step)


@functools.partial(jax.jit, static_argnames="grid")
def decode_latents(stream: LatentStream, grid: Shape3) -> jax.Array:
    """Latents, float32 (*grid, latent_dim), within half a step: the inverse of ``encode_latents``."""
    return decode_integers(stream, grid).astype(jnp.float32) * stream.step


def encode_integers(integers: jax.Array, step: jax.Array) -> LatentStream:
    """Code integers, int32 (grid_z, grid_y, grid_x, latent_dim), at most 2**19 in magnitude."""
    differences, predictors = lax.map(_predict, jnp.moveaxis(integers, -1, 0))
    values = differences.reshape(len(differences), -1)
    scales = adaptive_geometric.choose_scales(values)
    choices = (scales * len(_PREDICTORS) + predictors).astype(jnp.uint8)
    return LatentStream(*adaptive_geometric.encode(values, scales), choices, step)


def decode_integers(stream: LatentStream, grid: Shape3) -> jax.Array:
    """Integers, int32 (*grid, latent_dim): the inverse of ``encode_integers``."""
    scales, predictors = jnp.divmod(stream.choices.astype(jnp.int32), len(_PREDICTORS))
    values = adaptive_geometric.decode(stream.words, stream.used, stream.n_lanes, scales, math.prod(grid))
    undo = [functools.partial(_accumulate, axes=axes) for axes in _PREDICTORS]
    integers = lax.map(lambda one: lax.switch(one[1], undo, one[0]), (values.reshape(-1, *grid), predictors))
    return jnp.moveaxis(integers, 0, -1)


def _passes(axes: tuple[int, ...], grid: Shape3) -> Iterator[tuple[int, np.ndarray]]:
    """Axes to difference along, one after the other, and where.

    Everywhere along ``axes``; where no block lies before, along the other axes.
    """
    place = np.indices(grid, sparse=True)
    for axis in axes:
        yield axis, np.ones((1, 1, 1), bool)
    if axes:
        remaining = np.ones((1, 1, 1), bool)
        for axis in axes:
            remaining = remaining & (place[axis] == 0)
        for axis in set(range(3)) - set(axes):
            yield axis, remaining
            remaining = remaining & (place[axis] == 0)


def _difference(integers: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    for axis, where in _passes(axes, check_shape(integers.shape)):
        there = jnp.broadcast_to(jnp.asarray(where), integers.shape)
        integers = jnp.where(there, jnp.diff(integers, axis=axis, prepend=0), integers)
    return integers


def _accumulate(differences: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """The inverse of ``_difference``."""
    for axis, where in reversed(list(_passes(axes, check_shape(differences.shape)))):
        there = jnp.broadcast_to(jnp.asarray(where), differences.shape)
        sums = jnp.cumsum(differences, axis=axis, dtype=jnp.int32)
        differences = jnp.where(there, sums, differences)
    return differences


def _predict(integers: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The smallest differences of one dimension (z, y, x), and by which predictor."""
    candidates = jnp.stack([_difference(integers, axes) for axes in _PREDICTORS])
    sums = jnp.sum(jnp.abs(candidates).astype(jnp.float32), axis=(1, 2, 3))
    best = jnp.argmin(sums).astype(jnp.int32)
    return candidates[best], best


_HEAD = struct.Struct("<II")


def to_bytes(stream: LatentStream) -> bytes:
    """The stream and what is needed to decode it, but for the step and the grid."""
    used = int(stream.used)
    head = _HEAD.pack(used, int(stream.n_lanes)) + np.asarray(stream.choices).tobytes()
    return head + used_words(stream.words, used)


def from_bytes(payload: bytes, grid: Shape3, latent_dim: int, step: float) -> LatentStream:
    """The inverse of ``to_bytes``.

    Raises:
        ValueError: the payload cannot be of such a grid.
    """
    n_blocks, head_bytes = math.prod(grid), _HEAD.size + latent_dim
    if len(payload) < head_bytes:
        raise ValueError(f"a payload of {len(payload)} bytes lacks its head of {head_bytes}")
    used, n_lanes = _HEAD.unpack_from(payload)
    capacity = adaptive_geometric.capacity(n_blocks, latent_dim)
    words = read_words(payload, head_bytes, used, n_lanes, n_blocks, capacity)
    choices = np.frombuffer(payload, np.uint8, latent_dim, _HEAD.size)
    return LatentStream(
        jnp.asarray(words), jnp.int32(used), jnp.int32(n_lanes), jnp.asarray(choices), jnp.float32(step)
    )
