"""Costs of trellis quantisation: bits of integers by table, and costs of the branches of one position.

All bits of a table are packed into one integer, so that one lookup for a coefficient gives them all. Costs
are integers in units of 1/128 bit, and magnitudes are integers in units of 1/128 step. So the trellis
decides alike on every device.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.entropy.frequency_tables import PRECISION, bits_of_frequencies
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.fixed_point import MAGNITUDE_BITS
from nvc_jax.spectral.scan_order import N_ENDS_OF_BLOCK

COST_BITS = 7
"""Fraction bits of costs: they count 1/128 bit."""
UNREACHABLE = 1 << 29
"""Cost of a path that does not exist."""
_MAX_DROPPED = 16 << MAGNITUDE_BITS
"""Magnitude beyond which a coefficient is not dropped, and the error of dropping it does not grow further:
sums of costs stay in 32 bits."""
_COST_OF_DROPPING_MORE = 1 << 22
"""Cost, besides, of dropping a coefficient beyond _MAX_DROPPED."""
_MAX_INTEGER_COST = 36 << COST_BITS
"""Largest cost of the bits of an integer: about those of an escape, which do not grow with the magnitude."""
_MAX_FURTHER = 1 << 12
"""Largest number of steps beyond 1 that bits are computed for; they have reached their limit before."""
_MAX_END_COST = 1 << 24
"""Cost of an end of block that a class never has."""
_SMALLEST_FREQUENCY = 0.5
"""Smallest frequency that bits are computed from: they stay finite where a table has no such token."""

_RATE_WIDTHS = (11, 11, 10)
"""Bits of a packed rate that the bits of a zero, of a one, and of each further step take, lowest first."""
_RATE_UNITS = (1 / 128, 1 / 32, 1 / 32)
"""Units of these three, in bits."""
_WEIGHT_BITS = 4
"""Fraction bits of the bits that a squared error is worth."""
_RATE_SHIFTS = (0, _RATE_WIDTHS[0], _RATE_WIDTHS[0] + _RATE_WIDTHS[1])


class Rates(NamedTuple):
    """Bits of everything that a path decides.

    Attributes:
        integers: int32 (2 · R,), by quantiser and table: bits of a zero, of a one of either sign, and of each
            further step, packed so that one lookup gives all three.
        ends_of_block: int32 (K · N_ENDS_OF_BLOCK,), costs of each end of block, by class.
    """

    integers: jax.Array
    ends_of_block: jax.Array


def make_rates(model: EntropyModel) -> Rates:
    """Compute bits from a model's frequencies, as if magnitudes had geometric distributions."""
    n_all = float(1 << PRECISION)
    frequencies = model.frequencies[: model.n_shared].astype(jnp.float32)
    ones = (frequencies[:, 1] + frequencies[:, 2]) / 2
    larger = jnp.maximum(n_all - frequencies[:, 0] - 2 * ones, _SMALLEST_FREQUENCY)
    one_bits = jnp.where(
        ones > 0,
        bits_of_frequencies(jnp.maximum(ones, _SMALLEST_FREQUENCY)),
        float(_MAX_INTEGER_COST >> COST_BITS),
    )
    bits = (bits_of_frequencies(frequencies[:, 0]), one_bits, jnp.log2((2 * ones + larger) / larger))

    zero, one, further = (
        jnp.clip(jnp.round(x / unit), 0, (1 << width) - 1).astype(jnp.int32)
        for x, unit, width in zip(bits, _RATE_UNITS, _RATE_WIDTHS, strict=True)
    )
    packed = zero | one << _RATE_SHIFTS[1] | further << _RATE_SHIFTS[2]
    ends_of_block = bits_of_frequencies(model.end_frequencies[:, :N_ENDS_OF_BLOCK]) * (1 << COST_BITS)
    ends_of_block = jnp.minimum(jnp.round(ends_of_block), _MAX_END_COST).astype(jnp.int32)
    return Rates(packed, ends_of_block.reshape(-1))


def _unpack_rates(packed: jax.Array) -> tuple[jax.Array, ...]:
    """Get the costs of a zero, of a one, and of each further step, from ``Rates.integers``."""
    zero = packed & ((1 << _RATE_WIDTHS[0]) - 1)
    one = packed >> _RATE_SHIFTS[1] & ((1 << _RATE_WIDTHS[1]) - 1)
    further = packed >> _RATE_SHIFTS[2] & ((1 << _RATE_WIDTHS[2]) - 1)
    parts = (zero, one, further)
    return tuple(part * int(unit * (1 << COST_BITS)) for part, unit in zip(parts, _RATE_UNITS, strict=True))


def fixed_error_weight(bits_per_squared_step: float) -> int:
    """Convert the bits that a squared error of one step is worth, to a factor for ``_error_cost``."""
    return round(bits_per_squared_step * (1 << _WEIGHT_BITS))


def _error_cost(error: jax.Array, error_weight: int) -> jax.Array:
    """Compute the cost of an error in 1/128 step."""
    return error * error * error_weight >> _WEIGHT_BITS + 2 * MAGNITUDE_BITS - COST_BITS


def nearest_integers(magnitude: jax.Array, quantizer: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """Find the two integers whose points enclose magnitudes: the even and the odd one."""
    below = magnitude + (quantizer << MAGNITUDE_BITS - 1) >> MAGNITUDE_BITS
    is_odd = below & 1
    return below + is_odd, below + 1 - is_odd


class Branches(NamedTuple):
    """Costs of the best even and of the best odd integer of a quantiser, at m positions of n blocks.

    Attributes:
        even, odd: int32 (m, n), costs relative to the error of dropping the coefficient.
        even_is_zero: bool (m, n), whether the best even integer is 0.
    """

    even: jax.Array
    odd: jax.Array
    even_is_zero: jax.Array


def branch_costs(magnitude: jax.Array, rates: jax.Array, quantizer: int, error_weight: int) -> Branches:
    """Compute the costs of a quantiser's branches.

    Args:
        magnitude: int32 (m, n), of the coefficients in 1/128 step.
        rates: int32 (m, n), their ``Rates.integers``.
        quantizer: 0 or 1.
        error_weight: from ``fixed_error_weight``.
    """
    zero, one, further = _unpack_rates(rates)
    dropping = _error_cost(jnp.minimum(magnitude, _MAX_DROPPED), error_weight)

    def cost(integer: jax.Array) -> jax.Array:
        bits = jnp.minimum(one + jnp.minimum(integer - 1, _MAX_FURTHER) * further, _MAX_INTEGER_COST)
        point = (integer << MAGNITUDE_BITS) - (quantizer << MAGNITUDE_BITS - 1)
        return bits + _error_cost(magnitude - point, error_weight) - dropping

    even, odd = nearest_integers(magnitude, quantizer)
    kept = jnp.where(even > 0, cost(even), UNREACHABLE)
    dropped = zero + jnp.where(magnitude > _MAX_DROPPED, _COST_OF_DROPPING_MORE, 0)
    return Branches(jnp.minimum(kept, dropped), cost(odd), dropped <= kept)
