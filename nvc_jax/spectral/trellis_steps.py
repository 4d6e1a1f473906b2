"""Arguments and steps of the trellis: what it reads, and what it does at one position of many blocks.

``trellis`` explains the algorithm. A kernel of one group of blocks takes the same steps (see
``group_trellis``). The arrays of ``Rates`` are then references to memory.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.spectral.dependent_quantization import STATE_BITS, to_points
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.scan_order import END_OF_BLOCK_UNIT, N_ENDS_OF_BLOCK, ScanOrder
from nvc_jax.spectral.trellis_costs import UNREACHABLE, Branches, Rates, nearest_integers

N_STATES = 1 << STATE_BITS
"""Number of states of dependent quantisation."""
QUANTIZERS = (0, 1)
"""Both quantisers."""


class TrellisTables(NamedTuple):
    """Tables by which the trellis decides.

    Attributes:
        model: entropy model of the profile.
        scan: of the model and the volume.
        rates: of the model.
    """

    model: EntropyModel
    scan: ScanOrder
    rates: Rates


class TrellisBlocks(NamedTuple):
    """Blocks to quantise, apart from their coefficients.

    Attributes:
        classes: int32 (n,).
        partial_types: int32 (n,).
        counts: int32 (n,), number of integers that may be other than 0: the first in scan order.
    """

    classes: jax.Array
    partial_types: jax.Array
    counts: jax.Array


class BestEnd(NamedTuple):
    """The cheapest end of each block so far.

    Attributes:
        cost: int32 (n,), of the path to it.
        end: int32 (n,), in units of END_OF_BLOCK_UNIT integers.
        state: int32 (n,), the state there.
    """

    cost: jax.Array
    end: jax.Array
    state: jax.Array


def first_costs(n: int) -> list[jax.Array]:
    """Get the costs of the paths to each state before the first integer of n blocks: int32 (n,) each."""
    return [jnp.full(n, 0 if state == 0 else UNREACHABLE, jnp.int32) for state in range(N_STATES)]


def take_branches(
    costs: list[jax.Array], branches: tuple[Branches, ...], active: jax.Array
) -> tuple[list[jax.Array], jax.Array]:
    """Extend the paths to each state by one integer.

    Args:
        costs: int32 (n,), of the cheapest path to each state.
        branches: of each quantiser at this position of n blocks.
        active: bool (n,), blocks that have the position.

    Returns:
        The costs, and decisions, int32 (n,). Of a decision bit s, 0 to 3, says whether the second path to
        state s is the cheaper one; bit 4 + q says whether the best even integer of quantiser q is 0.
    """
    paths = _path_costs(costs, branches)
    costs = [jnp.where(active, jnp.minimum(*pair), old) for pair, old in zip(paths, costs, strict=True)]
    bits = [*(second < first for first, second in paths), *(branch.even_is_zero for branch in branches)]
    decision = sum((jnp.where(bit, 1 << i, 0) for i, bit in enumerate(bits)), jnp.zeros_like(costs[0]))
    return costs, decision


def _path_costs(costs: list[jax.Array], branches: tuple[Branches, ...]) -> list[tuple[jax.Array, jax.Array]]:
    """Compute the costs of the two paths to each state.

    By ``dependent_quantization.next_state``, state s is reached from s // 2 by integers of parity s & 1, and
    from s // 2 + 2 by those of the other parity. In both of them the quantiser is s // 2.
    """
    paths = []
    for state in range(N_STATES):
        branch = branches[state >> 1]
        same, other = (branch.odd, branch.even) if state & 1 else (branch.even, branch.odd)
        paths.append((costs[state >> 1] + same, costs[(state >> 1) + 2] + other))
    return paths


def first_end(rates: Rates, classes: jax.Array) -> BestEnd:
    """End blocks of these classes, int32 (n,), before their first integer."""
    zeros = jnp.zeros(classes.shape, jnp.int32)
    return BestEnd(rates.ends_of_block[classes * N_ENDS_OF_BLOCK], zeros, zeros)


def try_end(
    rates: Rates,
    classes: jax.Array,
    counts: jax.Array,
    best: BestEnd,
    costs: list[jax.Array],
    unit: jax.Array,
) -> BestEnd:
    """Keep the best end so far, or end after this unit where that costs less."""
    end_costs = rates.ends_of_block[classes * N_ENDS_OF_BLOCK + unit + 1]
    return take_end(end_costs, counts, best, costs, unit)


def take_end(
    end_costs: jax.Array, counts: jax.Array, best: BestEnd, costs: list[jax.Array], unit: jax.Array
) -> BestEnd:
    """Do what ``try_end`` does, given the costs of the ends of blocks after this unit, int32 (n,)."""
    cost, state = costs[0], jnp.zeros_like(best.state)
    for other in range(1, N_STATES):
        state = jnp.where(costs[other] < cost, other, state)
        cost = jnp.minimum(cost, costs[other])
    cost = cost + end_costs
    is_better = (END_OF_BLOCK_UNIT * unit < counts) & (cost < best.cost)
    candidate = BestEnd(cost, jnp.full_like(best.end, unit + 1), state)
    return jax.tree.map(lambda new, old: jnp.where(is_better, new, old), candidate, best)


def step_back(state: jax.Array, decision: jax.Array, magnitude: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Find the state before, and the magnitude in half steps that leads from it to ``state``.

    ``decision`` is from ``take_branches``, ``magnitude`` that of the coefficient in 1/128 step.
    """
    before, integer = last_integer(state, decision, magnitude)
    return before, to_points(integer, state >> 1)


def last_integer(state: jax.Array, decision: jax.Array, magnitude: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Find the state before, and the integer, which quantiser ``state >> 1`` has; see ``step_back``."""
    is_second = decision >> state & 1
    quantizer = state >> 1
    even, odd = nearest_integers(magnitude, quantizer)
    even = jnp.where(decision >> N_STATES + quantizer & 1 == 1, 0, even)
    integer = jnp.where(state & 1 ^ is_second == 1, odd, even)
    return quantizer + 2 * is_second, integer
