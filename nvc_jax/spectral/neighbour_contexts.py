"""Contexts of integers: what the integers of neighbouring frequencies, decoded before, say about their size.

Where an edge or a layer fills a part of the frequencies of a block, these have large integers together, which
its class does not tell. So a model may have *contexts*. An integer's *neighbours* are the three coefficients
of its block that lie one position lower along one axis. A neighbour is *known* if the lane that decodes the
integer has decoded it before: it comes earlier in the scan, and within the lane's run. The context follows
from the number of known neighbours and from the sum of the magnitudes of their reconstruction points. It
exchanges the integer's table for another one (see ``EntropyModel.context_rows``).

The first coefficient of a block is nobody's neighbour. The encoder decides without contexts: its rates are
those of the tables before the exchange.

Streams of the test volumes take 2, 3, 4 and 4 % fewer bits at steps of 0.2, 0.05, 0.01 and 0.002. Other
contexts were estimated on them: nine neighbours save 0.1 % more, and the same coefficient of the lane's block
before as a fourth one 0.2 to 0.8 %; means of the last 2 to 32 integers save 0 to 2 % in all.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.spectral.scan_order import ScanOrder
from nvc_jax.transform.block_layout import BLOCK_SIZE

_STRIDES = (BLOCK_SIZE**2, BLOCK_SIZE, 1)
"""Distance between a coefficient and its neighbour along each axis, by the numbers of coefficients."""
_HALVES = (6, 3, 2)
"""Factors, in halves, that make sums of one, two and three known neighbours those of three."""
_MAX_LENGTH = 9
"""Largest number of binary digits that is told apart. With one more context between each two, test volumes
took 0.1 % fewer bits."""
N_CONTEXTS = _MAX_LENGTH + 2
"""Number of contexts: 0 if no neighbour is known, and else one more than the number of binary digits."""


def find_neighbours(scan: ScanOrder) -> jax.Array:
    """Find the neighbours of all coefficients along each axis.

    Returns:
        int32 (3, 8, 511), the scan position of the neighbour, by partial-block type and scan position; −1
        where there is none or it comes later.
    """
    position = jnp.arange(scan.coefficients.shape[1], dtype=jnp.int32)[None]
    neighbours = []
    for stride in _STRIDES:
        has_lower = scan.coefficients // stride % BLOCK_SIZE > 0
        # The first coefficient has position −1, and so stands for none.
        lower = jnp.where(has_lower, scan.coefficients - stride, 0)
        found = jnp.take_along_axis(scan.positions, lower, axis=1)
        neighbours.append(jnp.where(found < position, found, -1))
    return jnp.stack(neighbours)


def find_contexts(
    neighbours: jax.Array,
    partial_type: jax.Array,
    position: jax.Array,
    n_before: jax.Array,
    read: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """Find the contexts of integers, int32; all arrays int32, broadcast.

    Args:
        neighbours: from ``find_neighbours``, or a reference to it.
        partial_type: of the integers' blocks.
        position: of the integers in their blocks.
        n_before: number of integers that their lanes have decoded before.
        read: gets the points at other positions of the same blocks, in half steps, where its second argument
            is true.
    """
    total, n_known = jnp.int32(0), jnp.int32(0)
    for axis in range(len(_STRIDES)):
        other = neighbours[axis, partial_type, position]
        is_known = (other >= 0) & (position - other <= n_before)
        total += jnp.where(is_known, jnp.abs(read(other, is_known)), 0)
        n_known += is_known.astype(jnp.int32)
    return context_of(total, n_known)


def context_of(total: jax.Array, n_known: jax.Array) -> jax.Array:
    """Get the contexts, int32, for sums of magnitudes of known neighbours, in half steps."""
    factor = jnp.where(n_known == 1, _HALVES[0], jnp.where(n_known == 2, _HALVES[1], _HALVES[2]))
    length = 32 - lax.clz(total * factor >> 1)
    return jnp.where(n_known > 0, 1 + jnp.minimum(length, _MAX_LENGTH), 0)
