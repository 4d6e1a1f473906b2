"""The rate–distortion codec: a volume to one entropy-coded stream and back, each one compiled program.

Lapped transform by regions, a profile, classes, integers by rate and distortion, block means as differences
from their neighbours, one rANS stream. The step of the quantiser is a run-time argument: one model serves
every rate.
"""

import dataclasses
import functools
import math
import struct
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.autoencoder.blocks import Shape3, check_shape, grid_shape, map_rows
from nvc_jax.autoencoder.networks import Params
from nvc_jax.core.normalization import denormalize, normalize
from nvc_jax.entropy.interleaving import lanes_for, read_words, used_words
from nvc_jax.spectral import scan_order, trellis
from nvc_jax.spectral.bitstream import (
    BlockSymbols,
    bits_per_lane,
    decode_heads,
    decode_stream,
    encode_stream,
    stream_capacity,
)
from nvc_jax.spectral.entropy_model import (
    ClassModel,
    make_costs,
    plain_steps,
    restore,
    round_as,
    settle,
    weigh,
)
from nvc_jax.spectral.mode_decision import choose
from nvc_jax.spectral.profiles import Profiles, choose_profile, number_classes, take_profile
from nvc_jax.spectral.refinement import refine
from nvc_jax.transform import block_modes, lapped
from nvc_jax.transform.block_dct import BLOCK, N_LATENTS
from nvc_jax.transform.block_modes import Layout
from nvc_jax.transform.boundary_emphasis import ALL_FACES, deemphasize, emphasize, face_weights

MIN_STEP, MAX_STEP = 2.0**-15, 2.0
"""Limits of the step, relative to the volume's range: integers stay within what the entropy coder takes."""

_PREDICTORS: tuple[tuple[int, ...], ...] = ((), (2,), (1, 2), (0, 1, 2))
"""Axes along which block means are differenced; the encoder chooses."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        *("words", "used", "n_lanes", "minimum", "maximum", "step"),
        *("filter_index", "predictor", "profile", "extent", "faces"),
    ],
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
        profile: int32, of the model's: see ``profiles``.
        extent: int32 (3,), voxels along z, y, x that were encoded; what lies beyond is arbitrary.
        faces: int32, those at which the volume meets others: see ``faces``.
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
    profile: jax.Array
    extent: jax.Array
    faces: jax.Array
    shape: Shape3
    dtype: str


@jax.jit
def encode(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    extent: jax.Array | None = None,
    faces: jax.Array | None = None,
) -> EncodedStream:
    """Encode a volume: ``encode_with_symbols`` without the symbols."""
    return encode_with_symbols(params, volume, minimum, maximum, step, extent, faces)[0]


@jax.jit
def encode_with_symbols(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    extent: jax.Array | None = None,
    faces: jax.Array | None = None,
) -> tuple[EncodedStream, BlockSymbols]:
    """Encode a volume; also give what its stream carries, for ``reconstruct``.

    Args:
        params: of the model: ``entropy``, its ``profiles``, and ``refinement``.
        volume: (z, y, x), a supported dtype.
        minimum: float32, what counts as 0: the smallest value, of the volume or of what it is a part of.
        maximum: float32, what counts as 1.
        step: float32, of the quantiser, relative to maximum − minimum; at least MIN_STEP.
        extent: int32 (3,), how many voxels along z, y, x count, from the first; all if it is missing.
        faces: int32, at which the volume meets others that are coded apart; none if it is missing.
    """
    extent = jnp.array(volume.shape, jnp.int32) if extent is None else extent
    faces = jnp.int32(0) if faces is None else faces
    found = analyse(params["entropy"], centre(volume, minimum, maximum), step, extent, faces)
    n_blocks = len(found.symbols.classes)
    n_lanes = lanes_for(found.bits, bits_per_lane(n_blocks), n_blocks)
    words, used = encode_stream(found.model, found.layout, found.symbols, n_lanes)
    encoded = EncodedStream(
        words=words,
        used=used,
        n_lanes=n_lanes,
        minimum=minimum,
        maximum=maximum,
        step=step,
        filter_index=found.filter_index,
        predictor=found.predictor,
        profile=found.profile,
        extent=extent,
        faces=faces,
        shape=check_shape(volume.shape),
        dtype=str(volume.dtype),
    )
    return encoded, found.symbols


def centre(volume: jax.Array, minimum: jax.Array, maximum: jax.Array) -> jax.Array:
    """A volume as it is transformed: scaled to [−½, ½], its sides padded to multiples of 8."""
    # Centred, so that float32 loses the fewest digits.
    unit = normalize(volume, minimum, maximum) - 0.5
    return jnp.pad(unit, [(0, -side % BLOCK) for side in unit.shape], mode="edge")


class Analysis(NamedTuple):
    """What the encoder decided on a volume of n blocks.

    Attributes:
        model: the class model of the profile.
        values: float32 (n, 512), latents in steps, before they were rounded.
        symbols: integers, classes and modes, the means as differences.
        layout: of the blocks.
        bits: float32, of all integers but the means, and of the classes, about.
        filter_index: int32, of ``transform.FILTERS``.
        predictor: int32, of the block means' predictors.
        profile: int32.
    """

    model: ClassModel
    values: jax.Array
    symbols: BlockSymbols
    layout: Layout
    bits: jax.Array
    filter_index: jax.Array
    predictor: jax.Array
    profile: jax.Array


def analyse(
    profiles: Profiles, unit: jax.Array, step: jax.Array, extent: jax.Array, faces: jax.Array
) -> Analysis:
    """Decide everything about a volume that ``centre`` made; all but the coding."""
    grid = grid_shape(check_shape(unit.shape), BLOCK)
    layout = block_modes.make_layout(grid, extent)
    stretched = block_modes.stretch(unit, extent)
    coarser = plain_steps(take_profile(profiles, 0))
    filter_index, modes = choose(stretched, step / coarser, extent)
    plan = block_modes.make_plan(modes, grid, extent)
    values = lapped.forward(emphasize(stretched, faces), plan, filter_index)
    values = values * (_scales(layout, grid, faces) / step)
    plain = values * coarser  # in steps of one quantiser
    profile = choose_profile(profiles, layout, plain)
    model = take_profile(profiles, profile)
    costs = make_costs(model)
    bits = map_rows(lambda part: weigh(costs, part), plain)
    classes = settle(model, bits, layout.order, layout.n_blocks)
    integers = map_rows(lambda part: round_as(costs, *part), (plain, classes))
    means = jnp.round(values[:, 0]).astype(jnp.int32)
    differences, predictor = _predict(jnp.where(layout.present, means, 0).reshape(grid))
    points = quantize(model, layout, values, integers, classes).at[:, 0].set(differences.reshape(-1))
    symbols = BlockSymbols(points, classes, block_modes.spread(modes, grid).reshape(-1))
    own = jnp.take_along_axis(bits, classes[:, None], axis=1)[:, 0] + model.class_bits[classes]
    total = jnp.sum(jnp.where(layout.present, own, 0))
    return Analysis(model, values, symbols, layout, total, filter_index, predictor, profile)


def quantize(
    model: ClassModel, layout: Layout, values: jax.Array, integers: jax.Array, classes: jax.Array
) -> jax.Array:
    """The points that latents in steps are coded as, in half steps, from what one quantiser makes of them."""
    if model.n_quantizers == 1:
        return 2 * integers
    places = scan_order.make_places(model, layout)
    ends = scan_order.find_ends(scan_order.in_order(places, layout, integers))
    # Two quantisers may find worth coding what lies a little beyond what one does.
    counts = scan_order.n_coded(places, layout, jnp.where(ends > 0, ends + 1, 0))
    return trellis.quantize(model, places, layout.kind, values, classes, counts)


def _scales(layout: Layout, grid: Shape3, faces: jax.Array) -> jax.Array:
    """What latents are scaled by so that errors weigh what they should, (n, 512): not their means."""
    is_mean = jnp.arange(N_LATENTS)[None] == 0
    scales = face_weights(grid, faces) * block_modes.error_scale(layout)[:, None]
    return jnp.where(is_mean, jnp.float32(1), scales)


@jax.jit
def decode(params: Params, encoded: EncodedStream) -> jax.Array:
    """Decode a volume; the inverse of ``encode`` up to the step."""
    return reconstruct(params, encoded, decode_symbols(params, encoded))


@jax.jit
def decode_symbols(params: Params, encoded: EncodedStream) -> BlockSymbols:
    """What a stream carries: integers only, the same on every device."""
    layout = block_modes.make_layout(grid_shape(encoded.shape, BLOCK), encoded.extent)
    model = take_profile(params["entropy"], encoded.profile)
    return decode_stream(model, layout, encoded.words, encoded.used, encoded.n_lanes)


@jax.jit
def reconstruct(params: Params, encoded: EncodedStream, symbols: BlockSymbols) -> jax.Array:
    """The volume from what its stream carries; the words themselves are not looked at."""
    model = take_profile(params["entropy"], encoded.profile)
    grid = grid_shape(encoded.shape, BLOCK)
    layout = block_modes.make_layout(grid, encoded.extent)
    values = dequantize(model, symbols, grid, encoded.predictor)
    modes = symbols.modes.reshape(grid)[::2, ::2, ::2]
    ways = block_modes.ways(encoded.filter_index, block_modes.spread(modes, grid).reshape(-1))
    classes = number_classes(model, encoded.profile, symbols.classes)
    values = values + refine(params["refinement"], values, model.order, classes, ways, grid)
    latents = values * (encoded.step / _scales(layout, grid, encoded.faces))
    plan = block_modes.make_plan(modes, grid, encoded.extent)
    unit = deemphasize(lapped.inverse(latents, plan, encoded.filter_index), encoded.faces)
    unit = block_modes.unstretch(unit, encoded.extent)
    unit = lax.slice(unit, (0, 0, 0), encoded.shape) + 0.5
    return denormalize(unit, encoded.minimum, encoded.maximum, encoded.dtype)


@jax.jit
def decode_means(params: Params, encoded: EncodedStream) -> jax.Array:
    """The means of a volume's blocks, (z, y, x) of the grid, in its dtype: all else is left undecoded.

    They are those of the lapped blocks, which reach a little into their neighbours.
    """
    model = take_profile(params["entropy"], encoded.profile)
    grid = grid_shape(encoded.shape, BLOCK)
    layout = block_modes.make_layout(grid, encoded.extent)
    heads, _ = decode_heads(model, layout, encoded.words, encoded.used, encoded.n_lanes)
    means = _accumulate(heads.means.reshape(grid), encoded.predictor).astype(jnp.float32)
    plan = block_modes.make_plan(heads.modes.reshape(grid)[::2, ::2, ::2], grid, encoded.extent)
    norms = lapped.mean_norms(plan, encoded.filter_index) * jnp.float32(math.sqrt(N_LATENTS))
    unit = means * encoded.step / norms + 0.5
    return denormalize(unit, encoded.minimum, encoded.maximum, encoded.dtype)


def dequantize(model: ClassModel, symbols: BlockSymbols, grid: Shape3, predictor: jax.Array) -> jax.Array:
    """The latents in steps, float32 (n, 512), as the decoder knows them before the refinement."""
    means = _accumulate(symbols.points[:, 0].reshape(grid), predictor)
    return restore(model, symbols.points.at[:, 0].set(2 * means.reshape(-1)), symbols.classes)


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


_HEAD = struct.Struct("<IIBBBB")


def to_bytes(encoded: EncodedStream) -> bytes:
    """The stream and what is needed to decode it, but for range, step, shape and dtype."""
    used, n_lanes = int(encoded.used), int(encoded.n_lanes)
    choices = (encoded.filter_index, encoded.predictor, encoded.faces, encoded.profile)
    head = _HEAD.pack(used, n_lanes, *map(int, choices))
    return head + used_words(encoded.words, used)


def from_bytes(
    payload: bytes,
    shape: Shape3,
    dtype: str,
    minimum: float,
    maximum: float,
    step: float,
    extent: Shape3 | None = None,
    *,
    n_profiles: int,
) -> EncodedStream:
    """The inverse of ``to_bytes``, of a model of so many profiles.

    Raises:
        ValueError: the payload cannot be of such a volume.
    """
    n_blocks = math.prod(grid_shape(shape, BLOCK))
    if len(payload) < _HEAD.size:
        raise ValueError(f"a payload of {len(payload)} bytes lacks its head of {_HEAD.size}")
    used, n_lanes, filter_index, predictor, faces, profile = _HEAD.unpack_from(payload)
    is_known = filter_index < len(lapped.FILTERS) and predictor < len(_PREDICTORS) and faces <= ALL_FACES
    if not is_known or profile >= n_profiles:
        raise ValueError(
            f"a payload's head names filter {filter_index}, predictor {predictor}, faces {faces:#b}, "
            f"profile {profile} of {n_profiles}"
        )
    capacity = stream_capacity(n_blocks, N_LATENTS)
    words = read_words(payload, _HEAD.size, used, n_lanes, n_blocks, capacity)
    # NumPy's numbers, not JAX's: each of those is a call of the device.
    numbers: dict[str, Any] = {
        "used": np.int32(used),
        "n_lanes": np.int32(n_lanes),
        "minimum": np.float32(minimum),
        "maximum": np.float32(maximum),
        "step": np.float32(step),
        "filter_index": np.int32(filter_index),
        "predictor": np.int32(predictor),
        "profile": np.int32(profile),
        "faces": np.int32(faces),
        "extent": np.array(shape if extent is None else extent, np.int32),
    }
    return EncodedStream(words=jnp.asarray(words), shape=shape, dtype=dtype, **numbers)
