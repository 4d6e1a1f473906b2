"""The rate–distortion codec: a volume to one entropy-coded stream and back, each one compiled program.

Lapped transform by superblocks, a profile, classes, integers by rate and distortion, block means as differences
from their neighbours, one rANS stream. The step of the quantiser is a run-time argument: one model serves
every rate.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.autoencoder.networks import Params
from nvc_jax.core.batching import map_rows
from nvc_jax.core.normalization import normalize
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.entropy.interleaving import lanes_for
from nvc_jax.spectral import scan_order, trellis
from nvc_jax.spectral.bitstream import (
    BlockSymbols,
    bits_per_lane,
    encode_stream,
)
from nvc_jax.spectral.class_decision import make_costs, round_as, settle, weigh
from nvc_jax.spectral.dc_prediction import predict_dc
from nvc_jax.spectral.entropy_model import EntropyModel, plain_steps
from nvc_jax.spectral.mode_decision import choose_modes
from nvc_jax.spectral.profiles import Profiles, choose_profile, take_profile
from nvc_jax.spectral.stream import EncodedStream
from nvc_jax.transform import block_layout, block_modes, lapped, partial_blocks
from nvc_jax.transform.block_dct import BLOCK_SIZE
from nvc_jax.transform.block_layout import BlockLayout
from nvc_jax.transform.boundary_emphasis import emphasize
from nvc_jax.transform.error_weights import error_weights


@jax.jit
def encode(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array | None = None,
    boundaries: jax.Array | None = None,
) -> EncodedStream:
    """Encode a volume: ``encode_with_symbols`` without the symbols."""
    return encode_with_symbols(params, volume, minimum, maximum, step, valid_shape, boundaries)[0]


@jax.jit
def encode_with_symbols(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array | None = None,
    boundaries: jax.Array | None = None,
) -> tuple[EncodedStream, BlockSymbols]:
    """Encode a volume; also give what its stream carries, for ``reconstruct``.

    Args:
        params: of the model: ``entropy``, its ``profiles``, and ``refinement``.
        volume: (z, y, x), a supported dtype.
        minimum: float32, what counts as 0: the smallest value, of the volume or of what it is a part of.
        maximum: float32, what counts as 1.
        step: float32, of the quantiser, relative to maximum − minimum; at least MIN_STEP.
        valid_shape: int32 (3,), how many voxels along z, y, x count, from the first; all if it is missing.
        boundaries: int32, at which the volume meets others that are coded apart; none if it is missing.
    """
    valid_shape = jnp.array(volume.shape, jnp.int32) if valid_shape is None else valid_shape
    boundaries = jnp.int32(0) if boundaries is None else boundaries
    found = analyse(params["entropy"], centre(volume, minimum, maximum), step, valid_shape, boundaries)
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
        valid_shape=valid_shape,
        boundaries=boundaries,
        shape=check_shape(volume.shape),
        dtype=str(volume.dtype),
    )
    return encoded, found.symbols


def centre(volume: jax.Array, minimum: jax.Array, maximum: jax.Array) -> jax.Array:
    """A volume as it is transformed: scaled to [−½, ½], its sides padded to multiples of 8."""
    # Centred, so that float32 loses the fewest digits.
    unit = normalize(volume, minimum, maximum) - 0.5
    return jnp.pad(unit, [(0, -side % BLOCK_SIZE) for side in unit.shape], mode="edge")


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

    model: EntropyModel
    values: jax.Array
    symbols: BlockSymbols
    layout: BlockLayout
    bits: jax.Array
    filter_index: jax.Array
    predictor: jax.Array
    profile: jax.Array


def analyse(
    profiles: Profiles, unit: jax.Array, step: jax.Array, valid_shape: jax.Array, boundaries: jax.Array
) -> Analysis:
    """Decide everything about a volume that ``centre`` made; all but the coding."""
    grid = grid_shape(check_shape(unit.shape), BLOCK_SIZE)
    layout = block_layout.make_layout(grid, valid_shape)
    stretched = partial_blocks.stretch(unit, valid_shape)
    coarser = plain_steps(take_profile(profiles, 0))
    filter_index, modes = choose_modes(stretched, step / coarser, valid_shape)
    plan = block_modes.make_plan(modes, grid, valid_shape)
    values = lapped.forward(emphasize(stretched, boundaries), plan, filter_index)
    values = values * (error_weights(layout, grid, boundaries) / step)
    plain = values * coarser  # in steps of one quantiser
    profile = choose_profile(profiles, layout, plain)
    model = take_profile(profiles, profile)
    costs = make_costs(model)
    bits = map_rows(lambda part: weigh(costs, part), plain)
    classes = settle(model, bits, layout.order, layout.n_blocks)
    integers = map_rows(lambda part: round_as(costs, *part), (plain, classes))
    means = jnp.round(values[:, 0]).astype(jnp.int32)
    differences, predictor = predict_dc(jnp.where(layout.inside, means, 0).reshape(grid))
    points = quantize(model, layout, values, integers, classes).at[:, 0].set(differences.reshape(-1))
    symbols = BlockSymbols(points, classes, block_modes.expand_to_blocks(modes, grid).reshape(-1))
    own = jnp.take_along_axis(bits, classes[:, None], axis=1)[:, 0] + model.class_bits[classes]
    total = jnp.sum(jnp.where(layout.inside, own, 0))
    return Analysis(model, values, symbols, layout, total, filter_index, predictor, profile)


def quantize(
    model: EntropyModel, layout: BlockLayout, values: jax.Array, integers: jax.Array, classes: jax.Array
) -> jax.Array:
    """The points that latents in steps are coded as, in half steps, from what one quantiser makes of them."""
    if model.n_quantizers == 1:
        return 2 * integers
    places = scan_order.make_scan_order(model, layout)
    ends = scan_order.find_end_of_block(scan_order.in_order(places, layout, integers))
    # Two quantisers may find worth coding what lies a little beyond what one does.
    counts = scan_order.n_coded(places, layout, jnp.where(ends > 0, ends + 1, 0))
    return trellis.quantize(model, places, layout.partial_type, values, classes, counts)
