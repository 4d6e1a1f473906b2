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
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.spectral import scan_order, trellis
from nvc_jax.spectral.bitstream import BlockSymbols, bits_per_lane, encode_stream
from nvc_jax.spectral.class_choice import choose_classes
from nvc_jax.spectral.class_decision import (
    COST_UNITS,
    DecisionCosts,
    class_costs,
    make_decision_costs,
    quantize_for_classes,
)
from nvc_jax.spectral.dc_prediction import predict_dc
from nvc_jax.spectral.encoded_stream import EncodedStream
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import EntropyModel, steps_of_single_quantizer
from nvc_jax.spectral.profiles import Profiles, any_profile, choose_profile, take_profile
from nvc_jax.spectral.shape_decision import choose_shape
from nvc_jax.transform import block_layout, separable
from nvc_jax.transform.block_layout import BLOCK_SIZE, BlockLayout
from nvc_jax.transform.boundary_emphasis import boundaries_to_emphasize
from nvc_jax.transform.separable import TransformShape


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
    """Encode a volume; arguments and errors are those of ``encode_with_symbols``.

    A program of its own: it does not return the integers, so they need no memory of their own.
    """
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
        params: of the model: ``entropy``, its ``profiles``.
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
    centered = center_volume(volume, minimum, maximum)
    boundaries = boundaries_to_emphasize(check_shape(centered.shape), valid_shape, boundaries)
    analysis = analyze(params["entropy"], centered, step, valid_shape, boundaries, options)
    n_blocks = len(analysis.symbols.classes)
    n_lanes = lanes_for(analysis.estimated_bits, bits_per_lane(n_blocks), n_blocks)
    encoded = EncodedStream(
        stream=encode_stream(analysis.model, analysis.layout, analysis.symbols, n_lanes),
        minimum=minimum,
        maximum=maximum,
        step=step,
        transform=analysis.transform,
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
    centered = normalize(volume, minimum, maximum) - 0.5
    return jnp.pad(centered, [(0, -side % BLOCK_SIZE) for side in centered.shape], mode="edge")


class Analysis(NamedTuple):
    """Decisions of the encoder about a volume of n blocks.

    Attributes:
        model: entropy model of the profile.
        values: float32 (n, 512), coefficients in steps before quantisation.
        symbols: integers, first coefficients and classes.
        layout: of the blocks.
        estimated_bits: float32, bits of all integers except first ones, and of the classes.
        transform: its shape.
        predictor: int32, of ``dc_prediction.DC_PREDICTORS``.
        profile: int32, of the model.
    """

    model: EntropyModel
    values: jax.Array
    symbols: BlockSymbols
    layout: BlockLayout
    estimated_bits: jax.Array
    transform: TransformShape
    predictor: jax.Array
    profile: jax.Array


def analyze(
    profiles: Profiles,
    centered: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    boundaries: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
) -> Analysis:
    """Make all decisions of the encoder: everything but the entropy coding.

    Args:
        profiles: of the model.
        centered: float32 (z, y, x), from ``center_volume``.
        step: float32, of the quantiser, relative to the range.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        boundaries: int32, boundaries at which the volume meets other chunks.
        options: choices that the encoder may make.

    Raises:
        ValueError: the options do not suit the model.
    """
    grid = grid_shape(check_shape(centered.shape), BLOCK_SIZE)
    layout = block_layout.make_layout(grid, valid_shape)
    single_steps = steps_of_single_quantizer(any_profile(profiles))

    # Transform: coefficients in steps.
    shape = check_shape(centered.shape)
    transform = choose_shape(centered, step / single_steps, valid_shape, options).shape
    axes = separable.make_axis_transforms(shape, valid_shape, transform, boundaries)
    values = separable.forward(centered, axes) / step

    # Profile, classes, and integers of a single quantiser, whose steps are smaller.
    single_values = values * single_steps
    profile = choose_profile(profiles, layout, single_values, options)
    model = take_profile(profiles, profile)
    costs = make_decision_costs(model, options)
    bits_by_class = class_costs(costs, single_values, options).astype(jnp.float32) / COST_UNITS
    classes = choose_classes(model, bits_by_class, layout.order, layout.n_blocks)

    # First coefficients apart from all others.
    first = jnp.clip(jnp.round(values[:, 0]), -MAX_MAGNITUDE, MAX_MAGNITUDE).astype(jnp.int32)
    differences, predictor = predict_dc(jnp.where(layout.inside, first, 0).reshape(grid), axes)
    points = quantize(model, costs, layout, values, classes, options)
    symbols = BlockSymbols(points, differences.reshape(-1), classes)

    bits_of_class = jnp.take_along_axis(bits_by_class, classes[:, None], axis=1)[:, 0]
    block_bits = bits_of_class + model.class_bits[classes]
    estimated_bits = jnp.sum(jnp.where(layout.inside, block_bits, 0))
    return Analysis(model, values, symbols, layout, estimated_bits, transform, predictor, profile)


def quantize(
    model: EntropyModel,
    costs: DecisionCosts,
    layout: BlockLayout,
    values: jax.Array,
    classes: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
) -> jax.Array:
    """Quantise coefficients, except first ones, with the quantisers of the model.

    With one quantiser, every coefficient is rounded. With two, the rounding of one only tells up to where
    blocks may have integers; ``trellis`` chooses these.

    Args:
        model: entropy model of the profile.
        costs: of the model.
        layout: of the n blocks.
        values: float32 (n, 512), coefficients in steps.
        classes: int32 (n,).
        options: choices that the encoder may make.

    Returns:
        int32 (n, 512), reconstruction points in half steps; 0 for first coefficients.

    Raises:
        ValueError: the model has two quantisers, and the options ask for rounding to the nearest.
    """
    if model.n_quantizers == 1:
        integers = map_rows(lambda rows: quantize_for_classes(costs, *rows), (values, classes))
        return (2 * integers).at[:, 0].set(0)
    if not options.optimizes_integers:
        raise ValueError("`options.optimizes_integers` must be true for a model of two quantisers")
    scan = scan_order.make_scan_order(model, layout)
    single_values = values * steps_of_single_quantizer(model)
    is_coded = jnp.abs(single_values) >= costs.first_thresholds[classes]
    ends_of_block = scan_order.find_ends(scan, layout, is_coded)
    # One unit more than with one quantiser: dependent quantisation may keep a few more integers.
    largest_ends = jnp.where(ends_of_block > 0, ends_of_block + 1, 0)
    counts = scan_order.count_coded(scan, layout, largest_ends)
    return trellis.quantize(model, scan, layout.partial_type, values, classes, counts)
