"""Choice of the classes of all blocks, each given the classes of the blocks before and after it."""

import jax
import jax.numpy as jnp

from nvc_jax.entropy.frequency_tables import bits_of_frequencies
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral import group_class_choice
from nvc_jax.spectral.class_decision import COST_UNITS, DecisionCosts, class_costs, class_rule
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.group_block_ends import EndTables
from nvc_jax.spectral.group_class_choice import Signalling
from nvc_jax.spectral.group_coefficients import FloatCoefficients, SplitCoefficients
from nvc_jax.transform.block_layout import BlockLayout

_SWEEP_PARITIES = (0, 1)
"""Order of the sweeps: first even, then odd positions; each takes the cheapest class given its two
neighbours. Further sweeps gain little."""
_SMALLEST_FREQUENCY = 0.5
"""Frequency of classes whose table gives them none: their bits stay finite, and exceed those of all
others."""


def decide_classes(
    costs: DecisionCosts,
    signalling: Signalling,
    layout: BlockLayout,
    values: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
    single_steps: float = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """Choose classes of blocks by their coefficients.

    Args:
        costs: of the entropy model.
        signalling: of the model, from ``signalling_bits``.
        layout: of the n blocks.
        values: float32 (n, 512), coefficients in steps.
        options: of the encoder.
        single_steps: steps of one quantiser in each of these steps.

    Returns:
        int32 (n,) classes, and float32, about the bits of all blocks inside the volume, DC left out.
    """

    def in_turn(
        costs: DecisionCosts, signalling: Signalling, layout: BlockLayout, values: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        of_each = class_costs(costs, values, options, single_steps)
        return choose_classes(signalling, of_each, layout.order, layout.n_blocks)

    def gpu(
        costs: DecisionCosts, signalling: Signalling, layout: BlockLayout, values: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        stored = FloatCoefficients(values.T)
        return decide_by_groups(costs, signalling, layout, stored, None, options, single_steps)[:2]

    return on_cpu(in_turn, in_turn, costs, signalling, layout, values, gpu=gpu)


def decide_by_groups(
    costs: DecisionCosts,
    signalling: Signalling,
    layout: BlockLayout,
    values: FloatCoefficients | SplitCoefficients,
    ends: EndTables | None,
    options: EncoderOptions,
    single_steps: float,
    *,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Choose classes by the kernel of GPUs.

    Arguments are those of ``decide_classes``, and others of ``group_class_choice.choose_classes``.

    Returns:
        What ``decide_classes`` returns; and int32 (n,), numbers of integers that may be other than 0.
    """
    tables = group_class_choice.CostTables(costs.weights, costs.zero_cost, costs.signalling_cost)
    classes, of_class, counts = group_class_choice.choose_classes(
        *(class_rule(options, single_steps), values, tables, signalling),
        *(layout.order, layout.n_blocks, COST_UNITS, ends),
        interpret=interpret,
    )
    return classes, _sum_bits(of_class, classes, signalling, layout.inside), counts


def choose_classes(
    signalling: Signalling, costs: jax.Array, order: jax.Array, n_blocks: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Choose classes of blocks in sequence: the signalling cost of a class depends on the class before.

    Every block starts with the class that is cheapest by itself. Then the even positions, and after them the
    odd ones, take the cheapest class between their two neighbours.

    Args:
        signalling: of the entropy model.
        costs: int32 (n, K), from ``class_costs``.
        order: int32 (n,), blocks in the order in which they are coded.
        n_blocks: int32, number of blocks in ``order`` that are coded.

    Returns:
        int32 (n,), and float32, about the bits of the blocks that are coded.
    """
    return on_cpu(_by_kernel, choose_reference, costs, *signalling, order, n_blocks)


def _sum_bits(
    of_class: jax.Array, classes: jax.Array, signalling: Signalling, is_coded: jax.Array
) -> jax.Array:
    """Sum the bits of blocks that are coded, float32: of their costs in their classes, and of these."""
    bits = of_class.astype(jnp.float32) / COST_UNITS + signalling.class_bits[classes]
    return jnp.sum(jnp.where(is_coded, bits, 0))


def signalling_bits(model: EntropyModel) -> Signalling:
    """Compute the bits of signalling classes, without contexts of headers."""
    n_classes = len(model.tables)
    frequencies = model.class_frequencies[: n_classes + 1, :n_classes].astype(jnp.float32)
    given_before = bits_of_frequencies(jnp.maximum(frequencies, _SMALLEST_FREQUENCY))
    # After the last block no class is signalled.
    of_after = jnp.pad(given_before[:n_classes].T, ((0, 1), (0, 0)))
    return Signalling(model.class_bits, given_before, of_after)


def _by_kernel(costs: jax.Array, *others: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Choose classes by the native kernel; the sum of bits differs from the reference's by roundings."""
    results = [jax.ShapeDtypeStruct(costs.shape[:1], jnp.int32), jax.ShapeDtypeStruct((), jnp.float32)]
    classes, bits = call("nvc_choose_classes", results, costs, *others)
    return classes, bits


def choose_reference(
    costs: jax.Array,
    class_bits: jax.Array,
    given_before: jax.Array,
    of_after: jax.Array,
    order: jax.Array,
    n_blocks: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Choose classes in ``jax.numpy``: the specification of the kernel; see ``choose_classes``.

    ``given_before``, float32 (K + 1, K), are the bits of a class by the class before, and ``of_after`` by the
    class after those of the class after; K stands for no class.
    """
    n_classes, position = len(class_bits), jnp.arange(len(order), dtype=jnp.int32)
    ordered = costs[order].astype(jnp.float32) / COST_UNITS
    classes = jnp.argmin(ordered + class_bits[None], axis=1).astype(jnp.int32)
    for parity in _SWEEP_PARITIES:
        neighbours = jnp.pad(jnp.where(position < n_blocks, classes, n_classes), 1, constant_values=n_classes)
        total = ordered + given_before[neighbours[:-2]] + of_after[neighbours[2:]]
        is_swept = position % len(_SWEEP_PARITIES) == parity
        classes = jnp.where(is_swept, jnp.argmin(total, axis=1).astype(jnp.int32), classes)
    place = jnp.zeros_like(order).at[order].set(position, unique_indices=True)
    classes, is_coded = classes[place], place < n_blocks
    of_class = jnp.take_along_axis(costs, classes[:, None], axis=1)[:, 0]
    return classes, _sum_bits(of_class, classes, Signalling(class_bits, given_before, of_after), is_coded)
