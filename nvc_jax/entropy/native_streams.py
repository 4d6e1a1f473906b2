"""Calls of native kernels that make word streams."""

from typing import Any

import jax
import jax.numpy as jnp

from nvc_jax.entropy.word_stream import WordStream, n_groups_of
from nvc_jax.native.dispatch import call


def encode_by_kernel(
    name: str, n_lanes: jax.Array, *arguments: jax.Array, max_lanes: int, capacity: int, **attributes: Any
) -> WordStream:
    """Encode a stream by a kernel.

    Args:
        name: of the kernel.
        n_lanes: int32, lanes of the stream.
        *arguments: of the kernel.
        max_lanes: most lanes of the stream; static.
        capacity: words of the longest such stream; static.
        **attributes: static arguments of the kernel.
    """
    results = (
        jax.ShapeDtypeStruct((capacity,), jnp.uint16),
        jax.ShapeDtypeStruct((n_groups_of(max_lanes),), jnp.int32),
    )
    words, group_words = call(name, results, *arguments, **attributes)
    return WordStream(words, group_words, n_lanes)
