"""Native kernels of the label coder; ``label_coding`` has their specification."""

import jax
import jax.numpy as jnp

from nvc_jax.entropy.label_walk import Volume
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.native.dispatch import call


def encode(volume: Volume, labels: jax.Array, *, capacity: int) -> tuple[WordStream, jax.Array, jax.Array]:
    """Encode labels; see ``label_coding.encode_reference``."""
    number = jax.ShapeDtypeStruct((), jnp.int32)
    results = (
        *(jax.ShapeDtypeStruct((capacity,), jnp.uint16), jax.ShapeDtypeStruct((1,), jnp.int32), number),
        *(jax.ShapeDtypeStruct((labels.size,), jnp.uint8), number),
    )
    *stream, escaped, n_escaped = call("nvc_labels_encode", results, labels, *volume)
    return WordStream(*stream), escaped, n_escaped


def decode(
    volume: Volume, stream: WordStream, escaped: jax.Array, *, sides: tuple[int, int, int]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Decode labels; see ``label_coding.decode_reference``."""
    results = (
        jax.ShapeDtypeStruct(sides, jnp.uint8),
        *(jax.ShapeDtypeStruct((), dtype) for dtype in (jnp.int32, bool)),
    )
    labels, n_escaped, ends_well = call("nvc_labels_decode", results, *stream, *volume, escaped)
    return labels, n_escaped, ends_well
