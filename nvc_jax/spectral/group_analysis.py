"""Analysis of a volume on GPUs: the decisions of ``analysis.analyze``, on coefficients in parts.

The kernel that transforms the volume splits coefficients (see ``group_coefficients``), and all kernels after
it take the parts that they need.
"""

import jax.numpy as jnp

from nvc_jax.core.shapes import grid_shape
from nvc_jax.spectral import group_trellis, quantization, scan_order
from nvc_jax.spectral.analysis import Analysis, ShapedVolume
from nvc_jax.spectral.bitstream import BlockSymbols
from nvc_jax.spectral.block_sample import draw_by_energies, energy_rule
from nvc_jax.spectral.class_choice import decide_by_groups
from nvc_jax.spectral.dc_prediction import round_and_predict
from nvc_jax.spectral.decision_tables import DecisionTables, take_tables
from nvc_jax.spectral.encoder_options import EncoderOptions
from nvc_jax.spectral.entropy_model import steps_of_single_quantizer
from nvc_jax.spectral.group_block_ends import make_end_tables
from nvc_jax.spectral.group_coefficients import SPLIT_MEMORY, SplitCoefficients
from nvc_jax.spectral.profile_choice import choose_reference
from nvc_jax.spectral.profiles import Profiles, any_profile, count_profiles, take_profile
from nvc_jax.spectral.trellis_steps import TrellisBlocks, TrellisTables
from nvc_jax.transform import group_separable
from nvc_jax.transform.axis_transform import scaled_matrices
from nvc_jax.transform.block_layout import BLOCK_SIZE


def analyze(
    profiles: Profiles,
    volume: ShapedVolume,
    options: EncoderOptions,
    prepared: DecisionTables | None = None,
    *,
    interpret: bool = False,
) -> Analysis:
    """Make all decisions but that of the shape; arguments are those of ``analysis.analyze``.

    Only for models of two quantisers, whose integers the options optimise, and volumes with their original.
    ``interpret`` runs the kernels by ``jax.numpy``, on any device, for tests.
    """
    original = volume.original
    assert original is not None
    layout, axes = volume.layout(), volume.make_axes()
    single_steps = steps_of_single_quantizer(any_profile(profiles))

    rule = energy_rule(single_steps)
    limits, matrices = (original.minimum, original.maximum), scaled_matrices(axes, 1 / volume.step)
    arguments = (SPLIT_MEMORY, original.volume, limits, matrices, rule)
    parts, energies = group_separable.forward_to(*arguments, interpret=interpret)
    values = SplitCoefficients(*parts)

    profile = jnp.int32(0)
    if count_profiles(profiles) > 1:
        drawn, weights = draw_by_energies(energies, layout.inside)
        profile = choose_reference(profiles, values.take(drawn) * single_steps, weights, options)
    model = take_profile(profiles, profile)
    tables = take_tables(profiles, profile, options, prepared)
    scan = scan_order.make_scan_order(model, layout)
    classes, estimated_bits, counts = decide_by_groups(
        *(tables.costs, tables.signalling, layout, values),
        *(make_end_tables(tables.costs, scan, layout), options, single_steps),
        interpret=interpret,
    )

    grid = grid_shape(volume.shape, BLOCK_SIZE)
    differences, predictor = round_and_predict(grid, values.first, layout.inside, axes)
    integers, ends = group_trellis.quantize(
        TrellisTables(model, scan, tables.rates),
        values._replace(fine=None),
        TrellisBlocks(classes, layout.partial_type, counts),
        interpret=interpret,
    )
    points = quantization.points_in_order(scan, layout, integers.whole(), ends)
    symbols = BlockSymbols(points, differences.reshape(-1), classes)
    return Analysis(
        *(model, values, symbols, (integers, ends), layout, scan),
        *(estimated_bits, volume.transform, predictor, profile),
    )
