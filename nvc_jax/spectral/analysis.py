"""Analysis of a volume: all decisions of the encoder, and the integers that they lead to."""

from typing import Any, NamedTuple

import jax

from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.entropy.interleaving import lanes_for
from nvc_jax.spectral import quantization, scan_order
from nvc_jax.spectral.bitstream import BlockSymbols, bits_per_lane
from nvc_jax.spectral.block_sample import energy_rule
from nvc_jax.spectral.class_choice import decide_classes
from nvc_jax.spectral.dc_prediction import predict_first
from nvc_jax.spectral.decision_tables import DecisionTables, take_tables
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import EntropyModel, steps_of_single_quantizer
from nvc_jax.spectral.group_coefficients import SplitCoefficients
from nvc_jax.spectral.profile_choice import choose_profile
from nvc_jax.spectral.profiles import Profiles, any_profile, take_profile
from nvc_jax.spectral.scan_order import ScanOrder
from nvc_jax.spectral.shape_decision import ShapeDecision, choose_shape
from nvc_jax.transform import block_layout, separable
from nvc_jax.transform.block_layout import BLOCK_SIZE, BlockLayout
from nvc_jax.transform.separable import Original, TransformShape


def decide_shape(
    profiles: Profiles,
    centered: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
    original: Original | None = None,
    block_sums: jax.Array | None = None,
) -> ShapeDecision:
    """Choose the shape of the transform of a volume; arguments as of ``analyze`` and ``choose_shape``."""
    single_step = step / steps_of_single_quantizer(any_profile(profiles))
    return choose_shape(centered, single_step, valid_shape, options, original, block_sums)


class ShapedVolume(NamedTuple):
    """A volume after the decision of its transform's shape.

    Attributes:
        centered: float32 (z, y, x), from ``center_volume``.
        step: float32, of the quantiser, relative to the range.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        boundaries: int32, boundaries at which the volume meets other chunks.
        transform: shape of the transform.
        original: from which ``centered`` was made: see ``separable.forward_with_energies``.
    """

    centered: jax.Array
    step: jax.Array
    valid_shape: jax.Array
    boundaries: jax.Array
    transform: TransformShape
    original: Original | None = None

    @property
    def shape(self) -> Shape3:
        """Voxels along z, y, x, in whole blocks."""
        return check_shape(self.centered.shape)

    def layout(self) -> BlockLayout:
        """Lay out the blocks."""
        return block_layout.make_layout(grid_shape(self.shape, BLOCK_SIZE), self.valid_shape)

    def make_axes(self) -> list[separable.AxisTransform]:
        """Make the transforms of all axes."""
        return separable.make_axis_transforms(self.shape, self.valid_shape, self.transform, self.boundaries)


class Analysis(NamedTuple):
    """Decisions of the encoder about a volume of n blocks.

    Attributes:
        model: entropy model of the profile.
        values: float32 (n, 512), coefficients in steps before quantisation; or those of GPUs, in parts.
        symbols: integers, first coefficients and classes.
        quantized: int32 (n, 512), the integers, as ``quantization.quantize`` returns them; or those of GPUs
            and the ends of blocks, as ``group_trellis.quantize`` returns them.
        layout: of the blocks.
        scan: of the model and the volume.
        estimated_bits: float32, bits of all integers except first ones, and of the classes.
        transform: its shape.
        predictor: int32, of ``dc_prediction.DC_PREDICTORS``.
        profile: int32, of the model.
    """

    model: EntropyModel
    values: jax.Array | SplitCoefficients
    symbols: BlockSymbols
    quantized: Any
    layout: BlockLayout
    scan: ScanOrder
    estimated_bits: jax.Array
    transform: TransformShape
    predictor: jax.Array
    profile: jax.Array

    @property
    def n_lanes(self) -> jax.Array:
        """Number of lanes of the stream, int32."""
        n_blocks = len(self.symbols.classes)
        return lanes_for(self.estimated_bits, bits_per_lane(n_blocks), n_blocks)


def analyze(
    profiles: Profiles,
    volume: ShapedVolume,
    options: EncoderOptions = DEFAULT_OPTIONS,
    prepared: DecisionTables | None = None,
) -> Analysis:
    """Make all other decisions of the encoder: everything but the entropy coding.

    Args:
        profiles: of the model.
        volume: the volume.
        options: choices that the encoder may make.
        prepared: tables of all profiles, if they have been prepared for the options.

    Raises:
        ValueError: the options do not suit the model.
    """
    layout, axes = volume.layout(), volume.make_axes()
    single_steps = steps_of_single_quantizer(any_profile(profiles))

    # Transform: coefficients in steps.
    values, energies = separable.forward_with_energies(
        volume.centered, axes, energy_rule(single_steps), volume.original, scale=1 / volume.step
    )

    # Profile and classes, by the integers of a single quantiser, whose steps are smaller.
    profile = choose_profile(profiles, layout, values, options, energies, prepared)
    model = take_profile(profiles, profile)
    tables = take_tables(profiles, profile, options, prepared)
    of_model = (tables.costs, tables.signalling)
    classes, estimated_bits = decide_classes(*of_model, layout, values, options, single_steps)

    # First coefficients apart from all others.
    differences, predictor = predict_first(values, layout.inside, grid_shape(volume.shape, BLOCK_SIZE), axes)
    scan = scan_order.make_scan_order(model, layout)
    quantized = quantization.quantize(model, tables, scan, layout, values, classes, options)
    points = quantization.find_points(scan, layout, quantized)
    symbols = BlockSymbols(points, differences.reshape(-1), classes)
    return Analysis(
        *(model, values, symbols, quantized, layout, scan),
        *(estimated_bits, volume.transform, predictor, profile),
    )
