"""Native kernels of the lattice coder; ``programs``, ``items`` and ``plan`` have their specification."""

import jax
import jax.numpy as jnp

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy.native_streams import encode_by_kernel
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.lattice import estimate
from nvc_jax.lattice.geometry import N_GROUPS
from nvc_jax.lattice.prediction import Rules
from nvc_jax.lattice.samples import ROWS
from nvc_jax.lattice.tables import N_CLASSES, N_CONTEXTS
from nvc_jax.lattice.weights import default_rows
from nvc_jax.native.dispatch import call


def _array(dtype: type, *shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def find(
    fixed: jax.Array, counted: jax.Array, shape: jax.Array, fraction_bits: jax.Array, thinning: jax.Array
) -> tuple[jax.Array, ...]:
    """Draw samples, fit weights and count codes; see ``plan.find``.

    Returns:
        Rows of weights, int32 (rows, N_GROUPS); samples of each row, int32; and of the default and of the
        fitted weights costs, int32 (2, rows), histograms, int32 (2, contexts, classes), and squared errors,
        int32 (2,).
    """
    n = len(ROWS)
    results = (
        *(_array(jnp.int32, n, N_GROUPS), _array(jnp.int32, n), _array(jnp.int32, 2, n)),
        *(_array(jnp.int32, 2, estimate.N_CONTEXTS, estimate.N_CLASSES), _array(jnp.int32, 2)),
    )
    default = jnp.asarray(default_rows())
    return call("nvc_lattice_find", results, fixed, counted, shape, fraction_bits, thinning, default)


def quantize(
    fixed: jax.Array,
    valid: jax.Array,
    anchors: jax.Array,
    weights: jax.Array,
    rules: Rules,
    *,
    max_items: int,
    max_passes: int,
) -> tuple[jax.Array, ...]:
    """Quantise a volume and collect its items; see ``programs.quantize`` and ``items.collect_items``.

    Returns:
        The decoded values; and of the items values, int32 (max_items,), contexts, uint16 (max_items,),
        counts, int32 (max_passes,), and the histogram, int32 (N_CONTEXTS, N_CLASSES + 1).
    """
    results = (
        *(_array(jnp.int32, *fixed.shape), _array(jnp.int32, max_items), _array(jnp.uint16, max_items)),
        *(_array(jnp.int32, max_passes), _array(jnp.int32, N_CONTEXTS, N_CLASSES + 1)),
    )
    return call("nvc_lattice_quantize", results, fixed, valid, anchors, weights, *rules)


def push_items(
    rows: jax.Array,
    contexts: jax.Array,
    values: jax.Array,
    counts: jax.Array,
    n_lanes: jax.Array,
    frequencies: jax.Array,
    *,
    max_lanes: int,
    capacity: int,
) -> WordStream:
    """Code items; see ``programs.push_reference``. Words behind the stream may differ from it."""
    arguments = (rows, contexts, values, counts, n_lanes, frequencies)
    return encode_by_kernel("nvc_lattice_push", n_lanes, *arguments, max_lanes=max_lanes, capacity=capacity)


def decode(
    lattice: Shape3,
    stream: WordStream,
    frequencies: jax.Array,
    rows: jax.Array,
    anchors: jax.Array,
    weights: jax.Array,
    rules: Rules,
) -> jax.Array:
    """Decode a volume; see ``programs.decode_reference``. Values beyond the volume may differ from it."""
    arguments = (*stream, frequencies, rows, anchors, weights, *rules)
    return call("nvc_lattice_decode", _array(jnp.int32, *lattice), *arguments)
