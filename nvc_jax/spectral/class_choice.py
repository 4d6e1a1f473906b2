"""Choice of the classes of all blocks, each given the classes of the blocks before and after it."""

import jax
import jax.numpy as jnp

from nvc_jax.entropy.frequency_tables import bits_of_frequencies
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral import group_class_choice
from nvc_jax.spectral.class_decision import COST_UNITS, DecisionCosts, class_costs, class_rule
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import EntropyModel, steps_of_single_quantizer
from nvc_jax.spectral.group_class_choice import Signalling
from nvc_jax.transform.block_layout import BlockLayout

_SWEEP_PARITIES = (0, 1)
"""Order of the sweeps: first even, then odd positions; each takes the cheapest class given its two
neighbours. Further sweeps gain little."""
_SMALLEST_FREQUENCY = 0.5
"""Frequency of classes whose table gives them none: their bits stay finite, and exceed those of all
others."""


def decide_classes(
    model: EntropyModel,
    costs: DecisionCosts,
    layout: BlockLayout,
    values: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
) -> tuple[jax.Array, jax.Array]:
    """Choose classes of blocks by their coefficients.

    Args:
        model: the entropy model.
        costs: of the model.
        layout: of the n blocks.
        values: float32 (n, 512), coefficients in steps.
        options: of the encoder.

    Returns:
        int32 (n,) classes, and int32 (n,) the costs of blocks in them, as of ``class_costs``.
    """
    single_steps = steps_of_single_quantizer(model)

    def in_turn(
        model: EntropyModel, costs: DecisionCosts, layout: BlockLayout, values: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        of_each = class_costs(costs, values, options, single_steps)
        bits = of_each.astype(jnp.float32) / COST_UNITS
        classes = choose_classes(model, bits, layout.order, layout.n_blocks)
        return classes, jnp.take_along_axis(of_each, classes[:, None], axis=1)[:, 0]

    def gpu(
        model: EntropyModel, costs: DecisionCosts, layout: BlockLayout, values: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        rule = class_rule(options, single_steps)
        tables = group_class_choice.CostTables(costs.weights, costs.zero_cost, costs.signalling_cost)
        arguments = (rule, values, tables, signalling_bits(model), layout.order, layout.n_blocks)
        return group_class_choice.choose_classes(*arguments, COST_UNITS)

    return on_cpu(in_turn, in_turn, model, costs, layout, values, gpu=gpu)


def choose_classes(model: EntropyModel, bits: jax.Array, order: jax.Array, n_blocks: jax.Array) -> jax.Array:
    """Choose classes of blocks in sequence: the signalling cost of a class depends on the class before.

    Every block starts with the class that is cheapest by itself. Then the even positions, and after them the
    odd ones, take the cheapest class between their two neighbours.

    Args:
        model: the entropy model.
        bits: float32 (n, K), from ``class_costs``.
        order: int32 (n,), blocks in the order in which they are coded.
        n_blocks: int32, number of blocks in ``order`` that are coded.

    Returns:
        int32 (n,).
    """
    return on_cpu(_by_kernel, choose_reference, bits, *signalling_bits(model), order, n_blocks)


def signalling_bits(model: EntropyModel) -> Signalling:
    """Compute the bits of signalling classes."""
    n_classes = len(model.tables)
    frequencies = model.class_frequencies[:, :n_classes].astype(jnp.float32)
    given_before = bits_of_frequencies(jnp.maximum(frequencies, _SMALLEST_FREQUENCY))
    # After the last block no class is signalled.
    of_after = jnp.pad(given_before[:n_classes].T, ((0, 1), (0, 0)))
    return Signalling(model.class_bits, given_before, of_after)


def _by_kernel(bits: jax.Array, *others: jax.Array) -> jax.Array:
    """Choose classes by the native kernel."""
    return call("nvc_choose_classes", jax.ShapeDtypeStruct(bits.shape[:1], jnp.int32), bits, *others)


def choose_reference(
    bits: jax.Array,
    class_bits: jax.Array,
    given_before: jax.Array,
    of_after: jax.Array,
    order: jax.Array,
    n_blocks: jax.Array,
) -> jax.Array:
    """Choose classes in ``jax.numpy``: the specification of the kernel.

    ``given_before``, float32 (K + 1, K), are the bits of a class by the class before, and ``of_after`` by the
    class after those of the class after; K stands for no class.
    """
    n_classes, position = len(class_bits), jnp.arange(len(order), dtype=jnp.int32)
    ordered = bits[order]
    classes = jnp.argmin(ordered + class_bits[None], axis=1).astype(jnp.int32)
    for parity in _SWEEP_PARITIES:
        neighbours = jnp.pad(jnp.where(position < n_blocks, classes, n_classes), 1, constant_values=n_classes)
        total = ordered + given_before[neighbours[:-2]] + of_after[neighbours[2:]]
        is_swept = position % len(_SWEEP_PARITIES) == parity
        classes = jnp.where(is_swept, jnp.argmin(total, axis=1).astype(jnp.int32), classes)
    return classes[jnp.zeros_like(order).at[order].set(position, unique_indices=True)]
