"""Native kernels of the adaptive geometric coder; ``adaptive_geometric`` has their specification."""

import jax
import jax.numpy as jnp

from nvc_jax.entropy.native_streams import encode_by_kernel
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.native.dispatch import call

BLOCKS_OF_SUM = 4096
"""Blocks whose units an estimate adds up."""


def start_and_thresholds(
    scales: jax.Array, units: jax.Array, ratios: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Compute sums and thresholds; see ``geometric_adaptation.start_and_thresholds_reference``."""
    results = [
        jax.ShapeDtypeStruct((), jnp.uint32),
        jax.ShapeDtypeStruct((len(scales), len(ratios)), jnp.uint32),
    ]
    start, thresholds = call("nvc_geometric_thresholds", results, scales, units, ratios)
    return start, thresholds


def choose_common_scale(values: jax.Array, *others: jax.Array) -> jax.Array:
    """Choose one scale for all dimensions; see ``geometric_adaptation.choose_common_scale``.

    Args:
        values: int32 (dims, n).
        *others: the number of blocks that count, the means between scales, distances below the usual scale to
            try, the constants of ``start_and_thresholds``, and those of ``estimate_bits``.
    """
    return call("nvc_geometric_scale", jax.ShapeDtypeStruct((), jnp.int32), values, *others)


def estimate_bits(
    values: jax.Array,
    scales: jax.Array,
    start: jax.Array,
    thresholds: jax.Array,
    zero: jax.Array,
    further: jax.Array,
    count: jax.Array,
) -> jax.Array:
    """Estimate bits; see ``geometric_adaptation.estimate_reference``."""
    n_dims, n_blocks = values.shape
    result = jax.ShapeDtypeStruct((n_dims, -(-n_blocks // BLOCKS_OF_SUM)), jnp.int32)
    return call("nvc_geometric_estimate", result, values, scales, start, thresholds, zero, further, count)


def encode(
    values: jax.Array,
    scales: jax.Array,
    start: jax.Array,
    thresholds: jax.Array,
    frequencies: jax.Array,
    count: jax.Array,
    n_lanes: jax.Array,
    *,
    max_lanes: int,
    capacity: int,
) -> WordStream:
    """Code integers; see ``adaptive_geometric.encode_reference``."""
    arguments = (values, scales, start, thresholds, frequencies, count, n_lanes)
    return encode_by_kernel(
        "nvc_geometric_encode", n_lanes, *arguments, max_lanes=max_lanes, capacity=capacity
    )


def decode(
    stream: WordStream,
    scales: jax.Array,
    start: jax.Array,
    thresholds: jax.Array,
    frequencies: jax.Array,
    count: jax.Array,
    *,
    n_blocks: int,
) -> jax.Array:
    """Decode integers; see ``adaptive_geometric.decode_reference``."""
    result = jax.ShapeDtypeStruct((len(scales), n_blocks), jnp.int32)
    return call("nvc_geometric_decode", result, *stream, scales, start, thresholds, frequencies, count)
