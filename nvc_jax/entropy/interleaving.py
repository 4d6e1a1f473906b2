"""Interleaving: the division of one stream among the lanes of the entropy coder, and its words as bytes.

The items of a stream lie end to end. Each lane codes a run of consecutive items, and at each step every lane
codes the next item of its run. More lanes make coding faster and the stream longer, by 32 bits a lane.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.entropy.rans import WordStream, n_groups_of
from nvc_jax.entropy.word_stack import GROUP_LANES

_BLOCKS_PER_LANE = 8
"""Fewest blocks of a lane in a large stream: a lane's 32 bits are then a small part of its items' bits."""
_ALWAYS_FAST_LANES = 512
"""Up to 512 lanes, a coding step takes the same time; so small streams may use lanes of only two blocks."""
_WORD_BYTES = 2


class Runs(NamedTuple):
    """Division of items that lie end to end into runs of equal length, one for each lane.

    Attributes:
        starts: int32 (lanes,), index of the first item of each lane's run.
        length: int32, number of items of a run; the last runs may be shorter or empty.
        total: int32, number of items of all runs.
    """

    starts: jax.Array
    length: jax.Array
    total: jax.Array | int

    def at(self, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Index of each lane's item at a step, int32 (lanes,), and whether the lane has that item, bool."""
        index = self.starts + step
        return index, index < self.total


def share_out(total: jax.Array | int, n_lanes: jax.Array, max_lanes: int) -> Runs:
    """Divide ``total`` items among the first ``n_lanes`` of ``max_lanes`` lanes."""
    length = -(-total // n_lanes)
    return Runs(jnp.arange(max_lanes, dtype=jnp.int32) * length, length, total)


def whole_groups(n_lanes: int) -> int:
    """Round a number of lanes beyond one group down to whole groups."""
    return n_lanes if n_lanes < GROUP_LANES else n_lanes - n_lanes % GROUP_LANES


def max_lanes_for(n_blocks: int) -> int:
    """Largest number of lanes that a stream of ``n_blocks`` blocks may have; part of the format."""
    return whole_groups(max(1, n_blocks // _BLOCKS_PER_LANE, min(n_blocks // 2, _ALWAYS_FAST_LANES)))


def lanes_for(bits: jax.Array, bits_per_lane: int, n_blocks: int) -> jax.Array:
    """Number of lanes, int32, that gives each lane ``bits_per_lane`` of a stream of ``bits`` bits.

    Args:
        bits: float32, estimated length of the stream.
        bits_per_lane: bits of the stream for each lane, which itself costs 32 bits.
        n_blocks: blocks of the stream; they limit the number of lanes.
    """
    n_lanes = jnp.clip(bits / bits_per_lane, 1, max_lanes_for(n_blocks)).astype(jnp.int32)
    return jnp.where(n_lanes < GROUP_LANES, n_lanes, n_lanes - n_lanes % GROUP_LANES)


def words_to_bytes(stream: WordStream) -> bytes:
    """Serialise a stream without its number of lanes: words of each group but the last, and all words."""
    n_groups = n_groups_of(int(stream.n_lanes))
    group_words = np.asarray(stream.group_words)[:n_groups].tolist()
    # The host cuts the array: on the device every length would need a compiled program of its own.
    words = np.asarray(stream.words)[: sum(group_words)].astype("<u2")
    return encode_varints(*group_words[:-1]) + words.tobytes()


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
    words = np.zeros(capacity, np.uint16)
    words[:used] = np.frombuffer(stored, "<u2", used, start)
    numbers: list[Any] = [group_words.astype(np.int32), np.int32(n_lanes)]
    return WordStream(jnp.asarray(words), *numbers)
