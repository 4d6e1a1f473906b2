"""Choice of the classes of all blocks, each given the classes of the blocks before and after it."""

from functools import partial

import jax
import jax.numpy as jnp

from nvc_jax.entropy.frequency_tables import bits_of_frequencies
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral import group_class_choice
from nvc_jax.spectral.entropy_model import EntropyModel

_SWEEP_PARITIES = (0, 1)
"""Order of the sweeps: first even, then odd positions; each takes the cheapest class given its two
neighbours. Further sweeps gain little."""
_SMALLEST_FREQUENCY = 0.5
"""Frequency of classes whose table gives them none: their bits stay finite, and exceed those of all
others."""


def choose_classes(
    model: EntropyModel, costs: jax.Array, order: jax.Array, n_blocks: jax.Array, units: int = 1
) -> jax.Array:
    """Choose classes of blocks in sequence: the signalling cost of a class depends on the class before.

    Every block starts with the class that is cheapest by itself. Then the even positions, and after them the
    odd ones, take the cheapest class between their two neighbours.

    Args:
        model: the entropy model.
        costs: (n, K), from ``class_costs``.
        order: int32 (n,), blocks in the order in which they are coded.
        n_blocks: int32, number of blocks in ``order`` that are coded.
        units: of a bit in costs; static.

    Returns:
        int32 (n,).
    """
    n_classes = len(model.tables)
    frequencies = model.class_frequencies[:, :n_classes].astype(jnp.float32)
    given_before = bits_of_frequencies(jnp.maximum(frequencies, _SMALLEST_FREQUENCY))
    # After the last block no class is signalled.
    of_after = jnp.pad(given_before[:n_classes].T, ((0, 1), (0, 0)))
    others = (model.class_bits, given_before, of_after, order, n_blocks)
    forms = (_by_kernel, choose_reference, group_class_choice.choose_classes)
    kernel, reference, gpu = (partial(form, units=units) for form in forms)
    return on_cpu(kernel, reference, costs, *others, gpu=gpu)


def _by_kernel(costs: jax.Array, *others: jax.Array, units: int) -> jax.Array:
    """Choose classes by the native kernel."""
    bits = costs.astype(jnp.float32) / units
    return call("nvc_choose_classes", jax.ShapeDtypeStruct(bits.shape[:1], jnp.int32), bits, *others)


def choose_reference(
    costs: jax.Array,
    class_bits: jax.Array,
    given_before: jax.Array,
    of_after: jax.Array,
    order: jax.Array,
    n_blocks: jax.Array,
    *,
    units: int,
) -> jax.Array:
    """Choose classes in ``jax.numpy``: the specification of the kernel.

    ``given_before``, float32 (K + 1, K), are the bits of a class by the class before, and ``of_after`` by the
    class after those of the class after; K stands for no class.
    """
    n_classes, position = len(class_bits), jnp.arange(len(order), dtype=jnp.int32)
    ordered = (costs.astype(jnp.float32) / units)[order]
    classes = jnp.argmin(ordered + class_bits[None], axis=1).astype(jnp.int32)
    for parity in _SWEEP_PARITIES:
        neighbours = jnp.pad(jnp.where(position < n_blocks, classes, n_classes), 1, constant_values=n_classes)
        total = ordered + given_before[neighbours[:-2]] + of_after[neighbours[2:]]
        is_swept = position % len(_SWEEP_PARITIES) == parity
        classes = jnp.where(is_swept, jnp.argmin(total, axis=1).astype(jnp.int32), classes)
    return classes[jnp.zeros_like(order).at[order].set(position, unique_indices=True)]
