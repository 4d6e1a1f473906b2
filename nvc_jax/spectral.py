"""The rate–distortion codec: a volume to one entropy-coded stream and back, each one compiled program.

Lapped transform, classes, integers by rate and distortion, block means as differences from their
neighbours, one rANS stream. The step of the quantiser is a run-time argument: one model serves every rate.
"""

import dataclasses
import functools
import itertools
import math
import struct
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax import transform
from nvc_jax.blocks import Shape3, check_shape, grid_shape
from nvc_jax.classes import (
    BITS_PER_ERROR,
    ClassModel,
    decide,
    decode_stream,
    encode_stream,
    max_lanes_for,
    restore,
    stream_capacity,
)
from nvc_jax.models import Params
from nvc_jax.normalize import denormalize, normalize

MIN_STEP = 2.0**-15
"""Smallest step, relative to the volume's range: integers stay within what the entropy coder takes."""

_PREDICTORS: tuple[tuple[int, ...], ...] = ((), (2,), (1, 2), (0, 1, 2))
"""Axes along which block means are differenced; the encoder chooses."""
_BITS_PER_LANE = 1600
"""A lane's 32 bits cost 2 % of them."""
_SAMPLE_SIDE = 32
_MAX_SAMPLES = 12


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["words", "used", "n_lanes", "minimum", "maximum", "step", "filter_index", "predictor"],
    meta_fields=["shape", "dtype"],
)
@dataclasses.dataclass(frozen=True)
class EncodedStream:
    """A volume as an entropy-coded stream; a pytree with a static shape and dtype.

    Attributes:
        words: uint16 (capacity,), the stream in a buffer of static size.
        used: int32, how many of the words are in use.
        n_lanes: int32, lanes of the stream.
        minimum, maximum: the volume's finite range, float32.
        step: of the quantiser, float32, relative to the range.
        filter_index: int32, of ``transform.FILTERS``.
        predictor: int32, of the block means' predictors.
        shape: (z, y, x) of the volume.
        dtype: name of the volume's dtype.
    """

    words: jax.Array
    used: jax.Array
    n_lanes: jax.Array
    minimum: jax.Array
    maximum: jax.Array
    step: jax.Array
    filter_index: jax.Array
    predictor: jax.Array
    shape: Shape3
    dtype: str


@jax.jit
def encode(
    params: Params, volume: jax.Array, minimum: jax.Array, maximum: jax.Array, step: jax.Array
) -> EncodedStream:
    """Encode a volume.

    Args:
        params: of the entropy model.
        volume: (z, y, x), a supported dtype.
        minimum: float32, what counts as 0: the smallest value, of the volume or of what it is a part of.
        maximum: float32, what counts as 1.
        step: float32, of the quantiser, relative to maximum − minimum; at least MIN_STEP.
    """
    model = ClassModel(**params)
    found = analyse(model, centre(volume, minimum, maximum), step)
    max_lanes = max_lanes_for(len(found.classes))
    n_lanes = jnp.clip(found.bits / _BITS_PER_LANE, 1, max_lanes).astype(jnp.int32)
    words, used = encode_stream(model, found.integers, found.classes, n_lanes)
    return EncodedStream(
        words=words,
        used=used,
        n_lanes=n_lanes,
        minimum=minimum,
        maximum=maximum,
        step=step,
        filter_index=found.filter_index,
        predictor=found.predictor,
        shape=check_shape(volume.shape),
        dtype=str(volume.dtype),
    )


def centre(volume: jax.Array, minimum: jax.Array, maximum: jax.Array) -> jax.Array:
    """A volume as it is transformed: scaled to [−½, ½], its sides padded to multiples of 8."""
    # Centred, so that float32 loses the fewest digits.
    unit = normalize(volume, minimum, maximum) - 0.5
    # Repeated border voxels cost next to nothing, and the decoder throws them away.
    return jnp.pad(unit, [(0, -side % transform.BLOCK) for side in unit.shape], mode="edge")


class Analysis(NamedTuple):
    """What the encoder decided on a volume of n blocks.

    Attributes:
        integers: int32 (n, 512) in the model's order, the means as differences.
        classes: int32 (n,).
        bits: float32, of all integers but the means, and of the classes.
        filter_index: int32, of ``transform.FILTERS``.
        predictor: int32, of the block means' predictors.
    """

    integers: jax.Array
    classes: jax.Array
    bits: jax.Array
    filter_index: jax.Array
    predictor: jax.Array


def analyse(model: ClassModel, unit: jax.Array, step: jax.Array) -> Analysis:
    """Decide everything about a volume that ``centre`` made; all but the coding."""
    filter_index = _choose_filter(model, unit, step)
    values = transform.forward(unit, filter_index)[:, model.order] / step
    integers, classes, bits = transform.map_in_steps(lambda part: decide(model, part), values)
    means = integers[:, 0].reshape([side // transform.BLOCK for side in unit.shape])
    differences, predictor = _predict(means)
    integers = integers.at[:, 0].set(differences.reshape(-1))
    return Analysis(integers, classes, jnp.sum(bits), filter_index, predictor)


@jax.jit
def decode(params: Params, encoded: EncodedStream) -> jax.Array:
    """Decode a volume; the inverse of ``encode`` up to the step."""
    model = ClassModel(**params)
    grid = grid_shape(encoded.shape, transform.BLOCK)
    integers, classes = decode_stream(model, encoded.words, encoded.used, encoded.n_lanes, math.prod(grid))
    means = _accumulate(integers[:, 0].reshape(grid), encoded.predictor)
    integers = integers.at[:, 0].set(means.reshape(-1))
    values = restore(model, integers, classes) * encoded.step
    latents = values[:, jnp.argsort(model.order)]
    z, y, x = (n * transform.BLOCK for n in grid)
    unit = transform.inverse(latents, (z, y, x), encoded.filter_index) + 0.5
    unit = lax.slice(unit, (0, 0, 0), encoded.shape)
    return denormalize(unit, encoded.minimum, encoded.maximum, encoded.dtype)


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


def _choose_filter(model: ClassModel, volume: jax.Array, step: jax.Array) -> jax.Array:
    """The filter with the least bits and error on a sample of the volume; int32."""
    samples = _samples(volume)

    def cost(filter_index: jax.Array) -> jax.Array:
        latents = jax.vmap(transform.forward, in_axes=(0, None))(samples, filter_index)
        values = latents.reshape(-1, transform.N_LATENTS)[:, model.order] / step
        integers, classes, bits = decide(model, values)
        error = values - restore(model, integers, classes)
        return jnp.sum(bits) + BITS_PER_ERROR * jnp.sum(error**2)

    costs = lax.map(cost, jnp.arange(len(transform.FILTERS)))
    return jnp.argmin(costs).astype(jnp.int32)


def _predict(means: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Differences of block means (z, y, x) by the cheapest predictor, and its index."""
    candidates = []
    for axes in _PREDICTORS:
        differences = means
        for axis in axes:
            differences = jnp.diff(differences, axis=axis, prepend=0)
        candidates.append(differences)
    stacked = jnp.stack(candidates)
    bits = jnp.sum(jnp.log2(1 + jnp.abs(stacked).astype(jnp.float32)), axis=(1, 2, 3))
    predictor = jnp.argmin(bits).astype(jnp.int32)
    return stacked[predictor], predictor


def _accumulate(differences: jax.Array, predictor: jax.Array) -> jax.Array:
    """Block means from their differences: the inverse of ``_predict``."""

    def undo(axes: tuple[int, ...]) -> jax.Array:
        means = differences
        for axis in axes:
            means = jnp.cumsum(means, axis=axis, dtype=jnp.int32)
        return means

    return lax.switch(predictor, [functools.partial(undo, axes) for axes in _PREDICTORS])


_HEAD = struct.Struct("<IIBBxx")


def to_bytes(encoded: EncodedStream) -> bytes:
    """The stream and what is needed to decode it, but for range, step, shape and dtype."""
    used, n_lanes = int(encoded.used), int(encoded.n_lanes)
    head = _HEAD.pack(used, n_lanes, int(encoded.filter_index), int(encoded.predictor))
    return head + np.asarray(encoded.words[:used]).astype("<u2").tobytes()


def from_bytes(
    payload: bytes, shape: Shape3, dtype: str, minimum: float, maximum: float, step: float
) -> EncodedStream:
    """The inverse of ``to_bytes``.

    Raises:
        ValueError: the payload cannot be of such a volume.
    """
    n_blocks = math.prod(grid_shape(shape, transform.BLOCK))
    if len(payload) < _HEAD.size:
        raise ValueError(f"a payload of {len(payload)} bytes lacks its head of {_HEAD.size}")
    used, n_lanes, filter_index, predictor = _HEAD.unpack_from(payload)
    capacity = stream_capacity(n_blocks, transform.N_LATENTS)
    wrong = (
        len(payload) != _HEAD.size + 2 * used
        or not 1 <= n_lanes <= max_lanes_for(n_blocks)
        or not 2 * n_lanes <= used <= capacity
        or filter_index >= len(transform.FILTERS)
        or predictor >= len(_PREDICTORS)
    )
    if wrong:
        raise ValueError(f"a payload's head contradicts its {len(payload)} bytes or {n_blocks} blocks")
    words = np.zeros(capacity, np.uint16)
    words[:used] = np.frombuffer(payload, "<u2", offset=_HEAD.size)
    return EncodedStream(
        words=jnp.asarray(words),
        used=jnp.int32(used),
        n_lanes=jnp.int32(n_lanes),
        minimum=jnp.float32(minimum),
        maximum=jnp.float32(maximum),
        step=jnp.float32(step),
        filter_index=jnp.int32(filter_index),
        predictor=jnp.int32(predictor),
        shape=shape,
        dtype=dtype,
    )
