"""How a stream is shared out among the lanes of the entropy coder, and its words in a payload."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_WIDTHS = (256, 64)
"""Widths that a loop over lanes is compiled for, besides that of all lanes."""


class Runs(NamedTuple):
    """How items laid end to end are shared out: an equal run to each lane.

    Attributes:
        starts: int32 (lanes,), where each lane's run starts.
        length: int32, of a run; the last may be shorter.
        total: int32, how many items there are.
    """

    starts: jax.Array
    length: jax.Array
    total: jax.Array | int

    def at(self, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Each lane's item at a step, and whether there is one."""
        index = self.starts + step
        return index, index < self.total


def share_out(total: jax.Array | int, n_lanes: jax.Array, max_lanes: int) -> Runs:
    """Share ``total`` items out among the first ``n_lanes`` of ``max_lanes`` lanes."""
    length = -(-total // n_lanes)
    return Runs(jnp.arange(max_lanes, dtype=jnp.int32) * length, length, total)


def max_lanes_for(n_blocks: int) -> int:
    """Most lanes of a stream of ``n_blocks`` blocks."""
    # A step of few lanes takes as long as one of some hundred.
    return max(1, n_blocks // 8, min(n_blocks // 2, 512))


def with_width(n_lanes: jax.Array, max_lanes: int, loop: Callable[[int], Any]) -> Any:
    """What ``loop`` returns for a width, static, that holds ``n_lanes``: the same whatever the width.

    A CPU takes as long for an idle lane as for another, so there it is the narrowest of a few widths. Devices
    that run lanes side by side take the widest: with a batch of streams they would run every branch.

    Args:
        n_lanes: int32, lanes that are active, the first.
        max_lanes: the most that there may be.
        loop: takes the width.
    """
    widths = [max_lanes, *(width for width in _WIDTHS if 2 * width <= max_lanes)]

    def narrowest(n_lanes: jax.Array) -> Any:
        index = jnp.sum(n_lanes <= jnp.array(widths[1:], jnp.int32), dtype=jnp.int32)
        return lax.switch(index, [partial(loop, width) for width in widths])

    return lax.platform_dependent(n_lanes, cpu=narrowest, default=lambda _: loop(max_lanes))


def lanes_for(bits: jax.Array, bits_per_lane: int, n_blocks: int) -> jax.Array:
    """How many lanes a stream of so many bits should have, int32: each costs 32."""
    return jnp.clip(bits / bits_per_lane, 1, max_lanes_for(n_blocks)).astype(jnp.int32)


def read_words(
    payload: bytes, head_bytes: int, used: int, n_lanes: int, n_blocks: int, capacity: int
) -> np.ndarray:
    """The words of a stream, uint16 (capacity,), from a payload that they follow the head of.

    Raises:
        ValueError: so many words and lanes cannot be those of such a payload.
    """
    if (
        len(payload) != head_bytes + 2 * used
        or not 1 <= n_lanes <= max_lanes_for(n_blocks)
        or not 2 * n_lanes <= used <= capacity
    ):
        raise ValueError(f"a payload's head contradicts its {len(payload)} bytes or {n_blocks} blocks")
    words = np.zeros(capacity, np.uint16)
    words[:used] = np.frombuffer(payload, "<u2", offset=head_bytes)
    return words


def used_words(words: jax.Array, used: int) -> bytes:
    """The first ``used`` words of a stream, as they are stored."""
    # Cut on the host: on the device every length would be a program of its own.
    return np.asarray(words)[:used].astype("<u2").tobytes()
