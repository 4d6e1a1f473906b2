"""The encoder of nvc-1: a volume to one entropy-coded stream, one compiled program.

The step of the quantiser is a run-time argument: one model, and one compiled program, serve every rate.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.core.batching import map_rows
from nvc_jax.core.normalization import normalize
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.entropy.interleaving import lanes_for
from nvc_jax.spectral import scan_order, trellis
from nvc_jax.spectral.bitstream import BlockSymbols, bits_per_lane, encode_stream
from nvc_jax.spectral.class_decision import (
    choose_classes,
    class_costs,
    make_decision_costs,
    quantize_for_classes,
)
from nvc_jax.spectral.dc_prediction import predict_dc
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import EntropyModel, plain_steps_per_step
from nvc_jax.spectral.mode_decision import choose_modes
from nvc_jax.spectral.profiles import Profiles, choose_profile, take_profile
from nvc_jax.spectral.stream import EncodedStream
from nvc_jax.transform import block_layout, block_modes, lapped, partial_blocks
from nvc_jax.transform.block_layout import BlockLayout
from nvc_jax.transform.boundary_emphasis import emphasize
from nvc_jax.transform.error_weights import error_weights
from nvc_jax.transform.planar_blocks import BLOCK_SIZE


@functools.partial(jax.jit, static_argnames="options")
def encode(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array | None = None,
    boundaries: jax.Array | None = None,
    options: EncoderOptions = DEFAULT_OPTIONS,
) -> EncodedStream:
    """Encode a volume; arguments and errors are those of ``encode_with_symbols``."""
    encoded, _ = encode_with_symbols(
        params, volume, minimum, maximum, step, valid_shape, boundaries, options=options
    )
    return encoded


@functools.partial(jax.jit, static_argnames="options")
def encode_with_symbols(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array | None = None,
    boundaries: jax.Array | None = None,
    options: EncoderOptions = DEFAULT_OPTIONS,
) -> tuple[EncodedStream, BlockSymbols]:
    """Encode a volume; also return the integers of its stream, for ``decoder.reconstruct``.

    Args:
        params: of the model: ``entropy``, its ``profiles``, and ``refinement``.
        volume: (z, y, x), a supported dtype.
        minimum: float32, value that is coded as 0: the smallest of the volume, or of what it is a part of.
        maximum: float32, value that is coded as 1.
        step: float32, of the quantiser, relative to maximum − minimum; at least MIN_STEP.
        valid_shape: int32 (3,), voxels along z, y, x that must be decodable, from the first; all by default.
        boundaries: int32, boundaries at which the volume meets other chunks (see ``boundary_emphasis``); none
            by default.
        options: choices that the encoder may make; static.

    Raises:
        ValueError: the options do not suit the model.
    """
    valid_shape = jnp.array(volume.shape, jnp.int32) if valid_shape is None else valid_shape
    boundaries = jnp.int32(0) if boundaries is None else boundaries
    unit = center_volume(volume, minimum, maximum)
    analysis = analyze(params["entropy"], unit, step, valid_shape, boundaries, options)
    n_blocks = len(analysis.symbols.classes)
    n_lanes = lanes_for(analysis.bits, bits_per_lane(n_blocks), n_blocks)
    words, used = encode_stream(analysis.model, analysis.layout, analysis.symbols, n_lanes)
    encoded = EncodedStream(
        words=words,
        used=used,
        n_lanes=n_lanes,
        minimum=minimum,
        maximum=maximum,
        step=step,
        filter_index=analysis.filter_index,
        predictor=analysis.predictor,
        profile=analysis.profile,
        valid_shape=valid_shape,
        boundaries=boundaries,
        shape=check_shape(volume.shape),
        dtype=str(volume.dtype),
    )
    return encoded, analysis.symbols


def center_volume(volume: jax.Array, minimum: jax.Array, maximum: jax.Array) -> jax.Array:
    """Scale a volume to [−½, ½], float32, and pad its sides to multiples of 8.

    It is centred at 0, so that float32 loses the fewest digits.
    """
    unit = normalize(volume, minimum, maximum) - 0.5
    return jnp.pad(unit, [(0, -side % BLOCK_SIZE) for side in unit.shape], mode="edge")


class Analysis(NamedTuple):
    """Decisions of the encoder about a volume of n blocks.

    Attributes:
        model: entropy model of the profile.
        values: float32 (n, 512), coefficients in steps before quantisation.
        symbols: integers, classes and modes; DC as differences from the prediction.
        layout: of the blocks.
        bits: float32, estimated bits of all integers except DC, and of the classes.
        filter_index: int32, of ``lapped_filter.FILTERS``.
        predictor: int32, of ``dc_prediction.DC_PREDICTORS``.
        profile: int32, of the model.
    """

    model: EntropyModel
    values: jax.Array
    symbols: BlockSymbols
    layout: BlockLayout
    bits: jax.Array
    filter_index: jax.Array
    predictor: jax.Array
    profile: jax.Array


def analyze(
    profiles: Profiles,
    unit: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    boundaries: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
) -> Analysis:
    """Make all decisions of the encoder: everything but the entropy coding.

    Args:
        profiles: of the model.
        unit: float32 (z, y, x), from ``center_volume``.
        step: float32, of the quantiser, in units of ``unit``.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        boundaries: int32, boundaries at which the volume meets other chunks.
        options: choices that the encoder may make.

    Raises:
        ValueError: the options do not suit the model.
    """
    grid = grid_shape(check_shape(unit.shape), BLOCK_SIZE)
    layout = block_layout.make_layout(grid, valid_shape)
    stretched = partial_blocks.stretch(unit, valid_shape)
    plain_steps = plain_steps_per_step(take_profile(profiles, 0))

    # Transform: coefficients in steps.
    filter_index, modes = choose_modes(stretched, step / plain_steps, valid_shape, options)
    plan = block_modes.make_plan(modes, grid, valid_shape)
    values = lapped.forward(emphasize(stretched, boundaries), plan, filter_index)
    values = values * (error_weights(layout, grid, boundaries) / step)

    # Profile, classes, and integers of a single quantiser.
    plain_values = values * plain_steps
    profile = choose_profile(profiles, layout, plain_values, options)
    model = take_profile(profiles, profile)
    costs = make_decision_costs(model, options)
    bits = map_rows(lambda rows: class_costs(costs, rows, options), plain_values)
    classes = choose_classes(model, bits, layout.order, layout.n_blocks)
    integers = map_rows(lambda rows: quantize_for_classes(costs, *rows), (plain_values, classes))

    # DC apart from all other coefficients.
    dc = jnp.round(values[:, 0]).astype(jnp.int32)
    differences, predictor = predict_dc(jnp.where(layout.inside, dc, 0).reshape(grid))
    points = quantize(model, layout, values, integers, classes, options)
    points = points.at[:, 0].set(differences.reshape(-1))
    symbols = BlockSymbols(points, classes, block_modes.expand_to_blocks(modes, grid).reshape(-1))

    block_bits = jnp.take_along_axis(bits, classes[:, None], axis=1)[:, 0] + model.class_bits[classes]
    total_bits = jnp.sum(jnp.where(layout.inside, block_bits, 0))
    return Analysis(model, values, symbols, layout, total_bits, filter_index, predictor, profile)


def quantize(
    model: EntropyModel,
    layout: BlockLayout,
    values: jax.Array,
    integers: jax.Array,
    classes: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
) -> jax.Array:
    """Quantise coefficients with the quantisers of the model.

    Args:
        model: entropy model of the profile.
        layout: of the n blocks.
        values: float32 (n, 512), coefficients in steps.
        integers: int32 (n, 512), integers of a single quantiser: the result if the model has one, else they
            tell where blocks may end.
        classes: int32 (n,).
        options: choices that the encoder may make.

    Returns:
        int32 (n, 512), reconstruction points in half steps.

    Raises:
        ValueError: the model has two quantisers, and the options ask for plain rounding.
    """
    if model.n_quantizers == 1:
        return 2 * integers
    if not options.optimizes_integers:
        raise ValueError("`options.optimizes_integers` must be true for a model of two quantisers")
    scan = scan_order.make_scan_order(model, layout)
    ends = scan_order.find_end_of_block(scan_order.to_scan_order(scan, layout, integers))
    # One unit further than with a single quantiser: two may find some more integers worth coding.
    counts = scan_order.count_coded(scan, layout, jnp.where(ends > 0, ends + 1, 0))
    return trellis.quantize(model, scan, layout.partial_type, values, classes, counts)
