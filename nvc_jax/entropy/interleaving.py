"""Interleaving: the division of one stream among the lanes of the entropy coder.

The items of a stream lie end to end. Each lane codes a run of consecutive items, and at each step every lane
codes the next item of its run. More lanes make coding faster and the stream longer, by 32 bits a lane.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.entropy.word_stack import GROUP_LANES
from nvc_jax.entropy.word_stream import whole_groups

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
        """Index of each lane's item at a step, int32 (lanes,), and whether the lane has that item, bool.

        Before step 0 and from step ``length`` on, where loops of a batch may run, no lane has one.
        """
        index = self.starts + step
        return index, (step >= 0) & (step < self.length) & (index < self.total)


def share_out(total: jax.Array | int, n_lanes: jax.Array, max_lanes: int) -> Runs:
    """Divide ``total`` items among the first ``n_lanes`` of ``max_lanes`` lanes."""
    return runs_of_lanes(jnp.arange(max_lanes, dtype=jnp.int32), total, n_lanes)


def runs_of_lanes(lanes: jax.Array, total: jax.Array | int, n_lanes: jax.Array) -> Runs:
    """Get the runs of some lanes, int32 (lanes,), if ``total`` items are divided among ``n_lanes`` lanes."""
    length = -(-total // n_lanes)
    return Runs(lanes * length, length, total)


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
