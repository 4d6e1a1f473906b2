"""Costs of trellis quantisation: bits of integers by table, and costs of the branches of one position.

All bits of a table are packed into one integer, so that one lookup for a coefficient gives them all.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.entropy.frequency_tables import PRECISION, bits_of_frequencies
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.scan_order import N_ENDS_OF_BLOCK

UNREACHABLE = 1e9
"""Cost of a path that does not exist, in bits."""
_MAX_DROPPED_COST = 4096.0
"""Largest cost of dropping a coefficient, in bits, that costs are relative to: larger sums would leave
float32 no digits for the bits."""
_MAX_INTEGER_BITS = 36.0
"""Largest bits of an integer: about those of an escape, whose bits do not grow with the magnitude."""
_SMALLEST_FREQUENCY = 0.5
"""Smallest frequency that bits are computed from: they stay finite where a table has no such token."""

_RATE_WIDTHS = (11, 11, 10)
"""Bits of a packed rate that the bits of a zero, of a one, and of each further step take, lowest first."""
_RATE_UNITS = (1 / 128, 1 / 32, 1 / 32)
"""Units of these three, in bits."""
_RATE_SHIFTS = (0, _RATE_WIDTHS[0], _RATE_WIDTHS[0] + _RATE_WIDTHS[1])


class Rates(NamedTuple):
    """Bits of everything that a path decides.

    Attributes:
        integers: int32 (2 · R,), by quantiser and table: bits of a zero, of a one of either sign, and of each
            further step, packed so that one lookup gives all three.
        ends_of_block: float32 (K · N_ENDS_OF_BLOCK,), bits of each end of block, by class.
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
        ones > 0, bits_of_frequencies(jnp.maximum(ones, _SMALLEST_FREQUENCY)), _MAX_INTEGER_BITS
    )
    bits = (bits_of_frequencies(frequencies[:, 0]), one_bits, jnp.log2((2 * ones + larger) / larger))

    zero, one, further = (
        jnp.round(x / unit).astype(jnp.int32) for x, unit in zip(bits, _RATE_UNITS, strict=True)
    )
    packed = zero | one << _RATE_SHIFTS[1] | further << _RATE_SHIFTS[2]
    ends_of_block = bits_of_frequencies(model.end_frequencies[:, :N_ENDS_OF_BLOCK])
    return Rates(packed, ends_of_block.reshape(-1))


def _unpack_rates(packed: jax.Array) -> tuple[jax.Array, ...]:
    """Get the bits of a zero, of a one, and of each further step, float32, from ``Rates.integers``."""
    zero = packed & ((1 << _RATE_WIDTHS[0]) - 1)
    one = packed >> _RATE_SHIFTS[1] & ((1 << _RATE_WIDTHS[1]) - 1)
    further = packed >> _RATE_SHIFTS[2]
    parts = (zero, one, further)
    return tuple(part.astype(jnp.float32) * unit for part, unit in zip(parts, _RATE_UNITS, strict=True))


def nearest_integers(magnitude: jax.Array, quantizer: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """Find the two integers whose points enclose magnitudes: the even and the odd one, float32."""
    below = jnp.floor(magnitude + 0.5 * quantizer)
    is_odd = below - 2 * jnp.floor(below / 2)
    return below + is_odd, below + 1 - is_odd


class Branches(NamedTuple):
    """Costs of the best even and of the best odd integer of a quantiser, at m positions of n blocks.

    Attributes:
        even, odd: float32 (m, n), costs relative to the error of dropping the coefficient.
        even_is_zero: bool (m, n), whether the best even integer is 0.
    """

    even: jax.Array
    odd: jax.Array
    even_is_zero: jax.Array


def branch_costs(magnitude: jax.Array, rates: jax.Array, quantizer: int, error_weight: float) -> Branches:
    """Compute the costs of a quantiser's branches.

    Args:
        magnitude: float32 (m, n), of the coefficients in steps.
        rates: int32 (m, n), their ``Rates.integers``.
        quantizer: 0 or 1.
        error_weight: bits that a squared error of one step is worth.
    """
    zero, one, further = _unpack_rates(rates)
    dropping = error_weight * magnitude**2
    reference = jnp.minimum(dropping, _MAX_DROPPED_COST)

    def cost(integer: jax.Array) -> jax.Array:
        bits = jnp.minimum(one + (integer - 1) * further, _MAX_INTEGER_BITS)
        return bits + (error_weight * (magnitude - (integer - 0.5 * quantizer)) ** 2 - reference)

    even, odd = nearest_integers(magnitude, quantizer)
    kept, dropped = jnp.where(even > 0, cost(even), UNREACHABLE), zero + (dropping - reference)
    return Branches(jnp.minimum(kept, dropped), cost(odd), dropped <= kept)
