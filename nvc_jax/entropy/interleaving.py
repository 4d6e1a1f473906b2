"""Interleaving: the division of one stream among the lanes of the entropy coder, and its words as bytes.

The items of a stream lie end to end. Each lane codes a run of consecutive items, and at each step every lane
codes the next item of its run. More lanes make coding faster and the stream longer, by 32 bits a lane.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

CPU_WIDTHS = (256, 64)
"""Numbers of lanes that a loop is compiled for on a CPU, besides that of all lanes; in descending order."""
_BLOCKS_PER_LANE = 8
"""Fewest blocks of a lane in a large stream: a lane's 32 bits are then a small part of its items' bits."""
_ALWAYS_FAST_LANES = 512
"""Up to 512 lanes, a coding step takes the same time; so small streams may use lanes of only two blocks."""


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


def max_lanes_for(n_blocks: int) -> int:
    """Largest number of lanes that a stream of ``n_blocks`` blocks may have; part of the format."""
    return max(1, n_blocks // _BLOCKS_PER_LANE, min(n_blocks // 2, _ALWAYS_FAST_LANES))


def lanes_for(bits: jax.Array, bits_per_lane: int, n_blocks: int) -> jax.Array:
    """Number of lanes, int32, that gives each lane ``bits_per_lane`` of a stream of ``bits`` bits.

    Args:
        bits: float32, estimated length of the stream.
        bits_per_lane: bits of the stream for each lane, which itself costs 32 bits.
        n_blocks: blocks of the stream; they limit the number of lanes.
    """
    return jnp.clip(bits / bits_per_lane, 1, max_lanes_for(n_blocks)).astype(jnp.int32)


def with_width(
    n_lanes: jax.Array, max_lanes: int, loop: Callable[[int], Any], widths: Sequence[int] = CPU_WIDTHS
) -> Any:
    """Run a loop over lanes with a static number of lanes, its *width*, that is at least ``n_lanes``.

    The width changes the time but not the result. A CPU spends as much time on an idle lane as on an active
    one, so it takes the narrowest width that suffices. Devices that run lanes side by side always take the
    full width: a branch under ``jax.vmap`` would run the loops of all widths there.

    Args:
        n_lanes: int32, number of active lanes; they are the first.
        max_lanes: largest number of active lanes; static.
        loop: takes the width and returns arrays whose shapes do not depend on it.
        widths: widths to compile for, besides ``max_lanes``, in descending order. Widths above half of
            ``max_lanes`` are left out.
    """
    compiled = [max_lanes, *(width for width in widths if 2 * width <= max_lanes)]

    def narrowest(n_lanes: jax.Array) -> Any:
        index = jnp.sum(n_lanes <= jnp.array(compiled[1:], jnp.int32), dtype=jnp.int32)
        return lax.switch(index, [partial(loop, width) for width in compiled])

    return lax.platform_dependent(n_lanes, cpu=narrowest, default=lambda _: loop(max_lanes))


def read_words(stored: bytes, n_lanes: int, n_blocks: int, capacity: int) -> tuple[np.ndarray, int]:
    """Read the words of a stream from their bytes.

    Args:
        stored: the words.
        n_lanes: number of lanes that the header states.
        n_blocks: blocks of the stream.
        capacity: number of words that the longest stream of so many blocks has.

    Returns:
        uint16 (capacity,), zero after the words in use, and the number of these.

    Raises:
        ValueError: the numbers of words and lanes are impossible for so many blocks.
    """
    used = len(stored) // 2
    if len(stored) % 2 or not 1 <= n_lanes <= max_lanes_for(n_blocks) or not 2 * n_lanes <= used <= capacity:
        raise ValueError(
            f"a stream's header contradicts its words of {len(stored)} bytes or its {n_blocks} blocks: "
            f"it states {n_lanes} lanes"
        )
    words = np.zeros(capacity, np.uint16)
    words[:used] = np.frombuffer(stored, "<u2")
    return words, used


def used_words(words: jax.Array, used: int) -> bytes:
    """Bytes of the first ``used`` words of a stream, each little-endian."""
    # The host cuts the array: on the device every length would need a compiled program of its own.
    return np.asarray(words)[:used].astype("<u2").tobytes()
