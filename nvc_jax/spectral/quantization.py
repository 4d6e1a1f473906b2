"""Quantisation: integers of all blocks, in the order in which a device needs them.

CPUs keep the reconstruction points of a block in the order of its coefficients, and the entropy coder brings
them into scan order. The kernel of GPUs writes integers in scan order at once, so that they go through the
memory only once. Either is an array of as many numbers as there are coefficients.
"""

import jax
import jax.numpy as jnp

from nvc_jax.core.batching import map_rows
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import group_scan, group_trellis, scan_order, trellis
from nvc_jax.spectral.block_ends import count_integers
from nvc_jax.spectral.class_decision import quantize_for_classes
from nvc_jax.spectral.decision_tables import DecisionTables
from nvc_jax.spectral.dependent_quantization import to_points
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import EntropyModel, steps_of_single_quantizer
from nvc_jax.spectral.group_coefficients import FloatCoefficients
from nvc_jax.spectral.scan_order import ScanOrder
from nvc_jax.spectral.trellis_steps import TrellisBlocks, TrellisTables
from nvc_jax.transform.block_layout import N_COEFFICIENTS, BlockLayout


def quantize(
    model: EntropyModel,
    tables: DecisionTables,
    scan: ScanOrder,
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
        tables: of the profile.
        scan: of the model and the volume.
        layout: of the n blocks.
        values: float32 (n, 512), coefficients in steps.
        classes: int32 (n,).
        options: choices that the encoder may make.

    Returns:
        int32 (n, 512), reconstruction points in half steps; 0 for first coefficients. On GPUs of NVIDIA, what
        ``join_scanned`` makes of the integers in scan order.

    Raises:
        ValueError: the model has two quantisers, and the options ask for rounding to the nearest.
    """
    if model.n_quantizers == 1:
        integers = map_rows(lambda rows: quantize_for_classes(tables.costs, *rows), (values, classes))
        return from_points(model, scan, layout, (2 * integers).at[:, 0].set(0))
    if not options.optimizes_integers:
        raise ValueError("`options.optimizes_integers` must be true for a model of two quantisers")

    counts = count_integers(tables.costs, scan, layout, values, classes, steps_of_single_quantizer(model))
    blocks = TrellisBlocks(classes, layout.partial_type, counts)
    arguments = (TrellisTables(model, scan, tables.rates), values, blocks)
    return on_cpu(trellis.quantize, trellis.quantize, *arguments, gpu=_quantize_by_groups)


def _quantize_by_groups(tables: TrellisTables, values: jax.Array, blocks: TrellisBlocks) -> jax.Array:
    """Quantise with two quantisers on GPUs, which then have integers in scan order."""
    integers, ends_of_block = group_trellis.quantize(tables, FloatCoefficients(values.T), blocks)
    return join_scanned(integers.whole(), ends_of_block)


def from_points(model: EntropyModel, scan: ScanOrder, layout: BlockLayout, points: jax.Array) -> jax.Array:
    """Make what ``quantize`` returns of reconstruction points, int32 (n, 512)."""

    def as_they_are(
        model: EntropyModel, scan: ScanOrder, layout: BlockLayout, points: jax.Array
    ) -> jax.Array:
        return points

    def gpu(model: EntropyModel, scan: ScanOrder, layout: BlockLayout, points: jax.Array) -> jax.Array:
        return join_scanned(*group_scan.scan_integers(model, layout, scan, points))

    return on_cpu(as_they_are, as_they_are, model, scan, layout, points, gpu=gpu)


def find_points(scan: ScanOrder, layout: BlockLayout, quantized: jax.Array) -> jax.Array:
    """Find the reconstruction points, int32 (n, 512) in half steps, of what ``quantize`` returned."""

    def as_they_are(scan: ScanOrder, layout: BlockLayout, quantized: jax.Array) -> jax.Array:
        return quantized

    return on_cpu(as_they_are, as_they_are, scan, layout, quantized, gpu=points_of_scanned)


def join_scanned(packed: jax.Array, ends_of_block: jax.Array) -> jax.Array:
    """Join the integers of n blocks in scan order, from ``stream_loops.scan_reference``, and their ends.

    Returns:
        int32 (n, 512), of which rows mean nothing: the integers of all blocks, and then the ends.
    """
    return jnp.concatenate([packed, ends_of_block]).reshape(-1, N_COEFFICIENTS)


def split_scanned(joined: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Split what ``join_scanned`` has joined, without a copy: other numbers follow the last integer."""
    flat = joined.reshape(-1)
    return flat, flat[-len(joined) :]


def points_of_scanned(scan: ScanOrder, layout: BlockLayout, joined: jax.Array) -> jax.Array:
    """Find the reconstruction points of integers in scan order, from ``join_scanned``."""
    return points_in_order(scan, layout, *split_scanned(joined))


def points_in_order(
    scan: ScanOrder, layout: BlockLayout, packed: jax.Array, ends_of_block: jax.Array
) -> jax.Array:
    """Find the reconstruction points of integers in scan order, from ``stream_loops.scan_reference``."""
    counts = scan_order.count_coded(scan, layout, ends_of_block)
    position = scan.positions[layout.partial_type]
    is_coded = (position >= 0) & (position < counts[:, None])
    item = jnp.arange(len(ends_of_block), dtype=jnp.int32)[:, None] * (N_COEFFICIENTS - 1) + position
    packed = jnp.where(is_coded, packed[jnp.where(is_coded, item, 0)], 0)
    return to_points(packed >> 1, packed & 1)
