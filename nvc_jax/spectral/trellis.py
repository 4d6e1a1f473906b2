"""The encoder's way through two quantisers: integers by rate and distortion, a block's all together.

As every integer's parity decides on the quantisers of those after it, integers cannot be decided one by one.
The Viterbi algorithm finds the best of all ways through four states, and where the block had best end, by one
pass over a block's latents in the order in which they are coded, and one back.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import map_rows, varying_like
from nvc_jax.entropy import frequency_tables
from nvc_jax.spectral.dependent_quantization import to_half_steps
from nvc_jax.spectral.entropy_model import EntropyModel, bits_per_error
from nvc_jax.spectral.scan_order import END_OF_BLOCK_UNIT, N_ENDS_OF_BLOCK, ScanOrder
from nvc_jax.transform.block_dct import N_COEFFICIENTS

_BLOCKS_AT_ONCE = 512
"""On CPUs: enough for the loop's steps to be worth it, and little enough to stay in cache."""
_NEVER = 1e9
_LARGEST_ERROR = 4096.0
"""Bits: of latents whose dropping costs more no more is counted, so that float32 keeps the rest."""
_MOST_BITS = 36.0
"""About what an escape takes, for integers whose magnitude is no longer that of a geometric distribution."""
_UNITS = (1 / 128, 1 / 32, 1 / 32)
"""Bits in whose multiples what zeros, ones and further steps cost is packed."""


class _Rates(NamedTuple):
    """Bits of what is coded.

    Attributes:
        integers: int32 (2 · R,), by quantiser and table: of a zero, a one of either sign, and each further
            step, packed, so that they are looked up at once.
        ends: float32 (K · N_ENDS_OF_BLOCK,), of where a block ends, by class.
    """

    integers: jax.Array
    ends: jax.Array


def _make_rates(model: EntropyModel) -> _Rates:
    """What a model's tables say, as if magnitudes were geometric."""
    n_all = float(1 << frequency_tables.PRECISION)
    bits_of = frequency_tables.bits_of_frequencies
    frequencies = model.frequencies[: model.n_shared].astype(jnp.float32)
    ones = (frequencies[:, 1] + frequencies[:, 2]) / 2
    more = jnp.maximum(n_all - frequencies[:, 0] - 2 * ones, 0.5)
    one = jnp.where(ones > 0, bits_of(jnp.maximum(ones, 0.5)), _MOST_BITS)
    bits = (bits_of(frequencies[:, 0]), one, jnp.log2((2 * ones + more) / more))
    parts = [jnp.round(x / unit).astype(jnp.int32) for x, unit in zip(bits, _UNITS, strict=True)]
    packed = parts[0] | parts[1] << 11 | parts[2] << 22
    ends = bits_of(model.end_frequencies[:, :N_ENDS_OF_BLOCK])
    return _Rates(packed, ends.reshape(-1))


def _unpack(packed: jax.Array) -> tuple[jax.Array, ...]:
    """Bits of a zero, of a one, and of each further step, float32."""
    parts = (packed & 2047, packed >> 11 & 2047, packed >> 22)
    return tuple(part.astype(jnp.float32) * unit for part, unit in zip(parts, _UNITS, strict=True))


def _nearest(magnitude: jax.Array, quantizer: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """The even and the odd integer of a quantiser of the two whose points lie around magnitudes; float32."""
    below = jnp.floor(magnitude + 0.5 * quantizer)
    is_odd = below - 2 * jnp.floor(below / 2)
    return below + is_odd, below + 1 - is_odd


class _Branches(NamedTuple):
    """Of some latents of blocks, what the best even and the best odd integer of a quantiser cost.

    Attributes:
        even, odd: float32 (m, n), less the error of dropping the latent.
        drops: bool (m, n), whether the best even one is 0.
    """

    even: jax.Array
    odd: jax.Array
    drops: jax.Array


def _branches(magnitude: jax.Array, rates: jax.Array, quantizer: int, weight: float) -> _Branches:
    """Of latents' magnitudes, float32 (m, n), by their ``_Rates.integers``, and what an error is worth."""
    zero, one, further = _unpack(rates)
    dropping = weight * magnitude**2
    usual = jnp.minimum(dropping, _LARGEST_ERROR)

    def cost(integer: jax.Array) -> jax.Array:
        bits = jnp.minimum(one + (integer - 1) * further, _MOST_BITS)
        return bits + (weight * (magnitude - (integer - 0.5 * quantizer)) ** 2 - usual)

    even, odd = _nearest(magnitude, quantizer)
    kept, dropped = jnp.where(even > 0, cost(even), _NEVER), zero + (dropping - usual)
    return _Branches(jnp.minimum(kept, dropped), cost(odd), dropped <= kept)


class _Blocks(NamedTuple):
    """Of n blocks: latents in steps, in order, float32 (n, 511); classes, kinds, most integers, (n,)."""

    values: jax.Array
    classes: jax.Array
    kinds: jax.Array
    counts: jax.Array


class _Best(NamedTuple):
    """The best end of each block so far: its cost, float32 (n,); after how many units, the state there."""

    cost: jax.Array
    end: jax.Array
    state: jax.Array


def _find_way(model: EntropyModel, places: ScanOrder, rates: _Rates, blocks: _Blocks) -> jax.Array:
    """Points in half steps, int32 (n, 512), in the order in which they are coded."""
    n = len(blocks.classes)
    n_units = (jnp.max(blocks.counts) + END_OF_BLOCK_UNIT - 1) // END_OF_BLOCK_UNIT
    weight = bits_per_error(model)
    # Place by place, and as many as whole units have.
    values = jnp.pad(blocks.values, ((0, 0), (0, 1))).T

    def branches_of(unit: jax.Array) -> tuple[_Branches, ...]:
        """Of all latents of a unit: what a loop is given is computed once."""
        begin = END_OF_BLOCK_UNIT * unit
        magnitude = jnp.abs(lax.dynamic_slice_in_dim(values, begin, END_OF_BLOCK_UNIT))
        place = jnp.minimum(begin + jnp.arange(END_OF_BLOCK_UNIT, dtype=jnp.int32), N_COEFFICIENTS - 2)[
            :, None
        ]
        latent = places.latents.reshape(-1)[blocks.kinds[None] * (N_COEFFICIENTS - 1) + place]
        table = model.tables.reshape(-1)[blocks.classes[None] * N_COEFFICIENTS + latent]
        return tuple(_branches(magnitude, rates.integers[model.row(table, q)], q, weight) for q in (0, 1))

    def forwards(begin: jax.Array, branches: tuple, step: jax.Array, state: tuple) -> tuple:
        costs, taken = state
        own = jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, step, keepdims=False), branches)
        ways = _ways(costs, own)
        active = begin + step < blocks.counts
        costs = [jnp.where(active, jnp.minimum(*both), old) for both, old in zip(ways, costs, strict=True)]
        bits = [*(second < first for first, second in ways), *(of.drops for of in own)]
        packed = sum((jnp.where(bit, 1 << i, 0) for i, bit in enumerate(bits)), jnp.zeros(n, jnp.int32))
        return costs, lax.dynamic_update_slice(taken, packed[None], (begin + step, 0))

    def forwards_unit(unit: jax.Array, state: tuple) -> tuple:
        costs, best, taken = state
        step = partial(forwards, END_OF_BLOCK_UNIT * unit, branches_of(unit))
        costs, taken = lax.fori_loop(0, END_OF_BLOCK_UNIT, step, (costs, taken))
        return costs, _end_here(rates, blocks, best, costs, unit), taken

    nothing = jnp.zeros(n, jnp.int32)
    best = _Best(rates.ends[blocks.classes * N_ENDS_OF_BLOCK], nothing, nothing)
    costs = [jnp.full(n, 0.0 if state == 0 else _NEVER) for state in range(4)]
    begin = varying_like(blocks.values, (costs, best, jnp.zeros((N_COEFFICIENTS, n), jnp.int32)))
    _, best, taken = lax.fori_loop(0, n_units, forwards_unit, begin)
    return _trace_back(values, blocks.counts, best, taken, n_units)


def _ways(costs: list[jax.Array], branches: tuple[_Branches, ...]) -> list[tuple[jax.Array, jax.Array]]:
    """What the two ways to each state cost.

    By ``quantizers.advance`` state t is reached from t // 2 by integers of parity t & 1, and from t // 2 + 2
    by those of the other.
    """
    ways = []
    for state in range(4):
        own = branches[state >> 1]
        same, other = (own.odd, own.even) if state & 1 else (own.even, own.odd)
        ways.append((costs[state >> 1] + same, costs[(state >> 1) + 2] + other))
    return ways


def _end_here(rates: _Rates, blocks: _Blocks, best: _Best, costs: list[jax.Array], unit: jax.Array) -> _Best:
    """``best``, or to end after a unit where that costs less."""
    cost, state = costs[0], jnp.zeros_like(best.state)
    for other in range(1, 4):
        state = jnp.where(costs[other] < cost, other, state)
        cost = jnp.minimum(cost, costs[other])
    cost = cost + rates.ends[blocks.classes * N_ENDS_OF_BLOCK + unit + 1]
    better = (END_OF_BLOCK_UNIT * unit < blocks.counts) & (cost < best.cost)
    found = _Best(cost, jnp.full_like(best.end, unit + 1), state)
    return jax.tree.map(lambda new, old: jnp.where(better, new, old), found, best)


def _trace_back(
    values: jax.Array, counts: jax.Array, best: _Best, taken: jax.Array, n_units: jax.Array
) -> jax.Array:
    """The points along the best ways, int32 (n, 512)."""
    ends = jnp.minimum(END_OF_BLOCK_UNIT * best.end, counts)

    def step(index: jax.Array, carried: tuple) -> tuple:
        state, points = carried
        place = END_OF_BLOCK_UNIT * n_units - 1 - index
        state = jnp.where(place + 1 == ends, best.state, state)
        value, packed = (lax.dynamic_index_in_dim(x, place, keepdims=False) for x in (values, taken))
        before, magnitude = _step_back(state, packed, jnp.abs(value))
        active = place < ends
        signed = jnp.where(active, jnp.sign(value).astype(jnp.int32) * magnitude, 0)
        return jnp.where(active, before, state), lax.dynamic_update_slice(points, signed[None], (place, 0))

    points = varying_like(values, jnp.zeros(values.shape, jnp.int32))
    return lax.fori_loop(0, END_OF_BLOCK_UNIT * n_units, step, (best.state, points))[1].T


def _step_back(state: jax.Array, packed: jax.Array, magnitude: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The state before, and the magnitude in half steps that led from it to ``state``."""
    second = packed >> state & 1
    quantizer = state >> 1
    even, odd = _nearest(magnitude, quantizer.astype(jnp.float32))
    even = jnp.where(packed >> 4 + quantizer & 1 == 1, 0, even)
    integer = jnp.where(state & 1 ^ second == 1, odd, even).astype(jnp.int32)
    return quantizer + 2 * second, to_half_steps(integer, quantizer)


def quantize(
    model: EntropyModel,
    places: ScanOrder,
    kinds: jax.Array,
    values: jax.Array,
    classes: jax.Array,
    counts: jax.Array,
) -> jax.Array:
    """Points of a model of two quantisers by rate and distortion.

    Args:
        model: the entropy model.
        places: the order of coding.
        kinds: int32 (n,), of the blocks.
        values: float32 (n, 512), latents in steps.
        classes: int32 (n,).
        counts: int32 (n,), how many integers of each block may be other than 0: the first so many.

    Returns:
        int32 (n, 512) in half steps, in the latents' order; 0 for the means.
    """
    find = partial(_find_way, model, places, _make_rates(model))
    # Blocks that are long together: a loop runs until the last of its blocks has ended.
    order = jnp.argsort(counts).astype(jnp.int32)
    ordered = values.reshape(-1)[order[:, None] * N_COEFFICIENTS + places.latents[kinds[order]]]
    blocks = _Blocks(ordered, *(leaf[order] for leaf in (classes, kinds, counts)))
    found = lax.platform_dependent(
        blocks, cpu=lambda blocks: map_rows(find, blocks, _BLOCKS_AT_ONCE), default=find
    )
    row, place = jnp.argsort(order).astype(jnp.int32)[:, None], places.places[kinds]
    return jnp.where(place >= 0, found.reshape(-1)[row * N_COEFFICIENTS + jnp.maximum(place, 0)], 0)
