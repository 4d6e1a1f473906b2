"""Word streams: what the entropy coder makes, and its words as bytes."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.aligned_arrays import sparse_zeros
from nvc_jax.core.devices import platform_here
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.entropy.word_stack import GROUP_LANES, WORD_BITS

_WORD_BYTES = WORD_BITS // 8
_LEAST_TRANSFER = 1 << 14
"""Words that are transferred at least: 32 KiB take no longer than fewer."""


class WordStream(NamedTuple):
    """Words of a finished stream.

    Attributes:
        words: uint16 (capacity,), those of one group of lanes after the other.
        group_words: int32 (groups,), number of words of each group; 0 for groups without lanes.
        n_lanes: int32, number of lanes: at most GROUP_LANES, or a multiple of it.
    """

    words: jax.Array
    group_words: jax.Array
    n_lanes: jax.Array

    @property
    def stored_bytes(self) -> jax.Array:
        """Bytes that ``interleaving.words_to_bytes`` makes of the stream, int32."""
        is_stated = jnp.arange(1, len(self.group_words) + 1, dtype=jnp.int32) * GROUP_LANES < self.n_lanes
        fields = jnp.sum(jnp.where(is_stated, varint_bytes(self.group_words), 0), dtype=jnp.int32)
        return fields + WORD_BITS // 8 * jnp.sum(self.group_words, dtype=jnp.int32)


def varint_bytes(number: jax.Array) -> jax.Array:
    """Count the bytes of numbers as varints, int32."""
    return sum(((number >> n_bits > 0).astype(jnp.int32) for n_bits in range(7, 32, 7)), jnp.int32(1))


def n_groups_of(n_lanes: int) -> int:
    """Get the number of groups of lanes."""
    return -(-n_lanes // GROUP_LANES)


def whole_groups(n_lanes: int) -> int:
    """Round a number of lanes beyond one group down to whole groups."""
    return n_lanes if n_lanes < GROUP_LANES else n_lanes - n_lanes % GROUP_LANES


def words_to_bytes(stream: WordStream) -> bytes:
    """Serialise a stream without its number of lanes: words of each group but the last, and all words."""
    n_groups = n_groups_of(int(stream.n_lanes))
    group_words = np.asarray(stream.group_words)[:n_groups].tolist()
    used = sum(group_words)
    is_far = isinstance(stream.words, jax.Array) and platform_here() != "cpu"
    words = fetch_words(stream.words, used) if is_far else np.asarray(stream.words)[:used]
    return encode_varints(*group_words[:-1]) + words.astype("<u2", copy=False).tobytes()


def words_from_bytes(stored: bytes, n_lanes: int, max_lanes: int, capacity: int) -> WordStream:
    """Read what ``words_to_bytes`` wrote.

    Args:
        stored: the bytes of a stream, up to its end.
        n_lanes: number of lanes that its header states.
        max_lanes: largest number of lanes that it may have.
        capacity: number of words that the longest such stream has.

    Raises:
        ValueError: the numbers of words and lanes are not possible.
    """
    if not 1 <= n_lanes <= max_lanes or whole_groups(n_lanes) != n_lanes:
        raise ValueError(f"a stream's header states {n_lanes} lanes; it may have {max_lanes}")
    n_groups = n_groups_of(n_lanes)
    others, start = decode_varints(stored, n_groups - 1)
    used, odd = divmod(len(stored) - start, _WORD_BYTES)
    group_words = np.zeros(n_groups_of(max_lanes), np.int64)
    group_words[:n_groups] = [*others, used - sum(others)]
    least = 2 * min(n_lanes, GROUP_LANES)
    if odd or used > capacity or group_words[:n_groups].min() < least:
        raise ValueError(
            f"a stream's header contradicts its words of {len(stored) - start} bytes: it states {n_lanes} "
            f"lanes and groups of {others} words before the last"
        )
    words = sparse_zeros((capacity,), np.uint16)
    words[:used] = np.frombuffer(stored, "<u2", used, start)
    numbers: list[Any] = [group_words.astype(np.int32), np.int32(n_lanes)]
    is_far = platform_here() != "cpu"
    here: Any = words  # programs take arrays of NumPy sooner than JAX makes arrays of its own of them
    return WordStream(send_words(words, used) if is_far else here, *numbers)


def send_words(words: np.ndarray, used: int) -> jax.Array:
    """Put a buffer on a device apart from this processor: its used words travel, and zeros are made there.

    Args:
        words: uint16 (capacity,), zeros behind the used ones.
        used: number of words in use.
    """
    return _extend(jax.device_put(words[: _transferred(used, len(words))]), len(words))


def fetch_words(words: jax.Array, used: int) -> np.ndarray:
    """Get the used words of a buffer, uint16 (used,), from a device apart from this processor.

    Of several buffers, (…, capacity), as many words of each.
    """
    return np.asarray(_cut(words, _transferred(used, words.shape[-1])))[..., :used]


def _transferred(used: int, capacity: int) -> int:
    """Round a number of words up to a power of two: few programs are compiled."""
    return min(max(1 << max(used - 1, 0).bit_length(), _LEAST_TRANSFER), capacity)


@functools.partial(jax.jit, static_argnums=1)
def _extend(words: jax.Array, capacity: int) -> jax.Array:
    return jnp.pad(words, (0, capacity - len(words)))


@functools.partial(jax.jit, static_argnums=1)
def _cut(words: jax.Array, length: int) -> jax.Array:
    return words[..., :length]
