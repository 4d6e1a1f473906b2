import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import MODEL

from nvc_jax.entropy.frequency_tables import PRECISION
from nvc_jax.spectral import trellis_costs
from nvc_jax.spectral.fixed_point import MAGNITUDE_BITS, to_fixed
from nvc_jax.spectral.scan_order import N_ENDS_OF_BLOCK

ERROR_WEIGHT = 6.0
FIXED_WEIGHT = trellis_costs.fixed_error_weight(ERROR_WEIGHT)
UNIT = 1 << trellis_costs.COST_BITS
RATES, ENDS = jax.jit(trellis_costs.make_rates)(MODEL)
branch_costs = jax.jit(trellis_costs.branch_costs, static_argnums=(2, 3))


def bits_of_integer(integer: int, row: int) -> float:
    """Bits in a table whose magnitudes above 1 have a geometric distribution."""
    frequencies = np.asarray(MODEL.frequencies, np.float64)[row]
    zero, ones = frequencies[0], frequencies[1:3].mean()
    larger = 2.0**PRECISION - zero - 2 * ones
    if integer == 0:
        return PRECISION - np.log2(zero)
    return PRECISION - np.log2(ones) + (integer - 1) * np.log2((2 * ones + larger) / larger)


def cost(magnitude: float, integer: int, row: int, quantizer: int) -> float:
    """Bits and weighted error of an integer, less the error of dropping the coefficient."""
    point = max(integer - 0.5 * quantizer, 0)
    error = ERROR_WEIGHT * ((magnitude - point) ** 2 - magnitude**2)
    return bits_of_integer(integer, row) + error


@pytest.mark.parametrize("quantizer", [0, 1])
@pytest.mark.parametrize("row", range(MODEL.n_shared))
def test_costs_of_branches_are_those_of_their_best_integers(row: int, quantizer: int) -> None:
    magnitudes = (np.random.default_rng(row).integers(0, 3 * 128, 40) / 128).astype(np.float32)
    rates = jnp.full((40, 1), RATES[row], jnp.int32)
    fixed = to_fixed(jnp.asarray(magnitudes)[:, None])
    branches = branch_costs(fixed, rates, quantizer, FIXED_WEIGHT)
    for number, magnitude in enumerate(magnitudes):
        below = int(np.floor(magnitude + 0.5 * quantizer))
        even, odd = sorted((below, below + 1), key=lambda integer: integer % 2)
        zero_cost = cost(magnitude, 0, row, quantizer)
        even_cost = min(zero_cost, cost(magnitude, even, row, quantizer))
        # Bits are rounded to packed units, of at most 1/32 each, and magnitudes to 1/128 step.
        assert branches.even[number, 0] / UNIT == pytest.approx(even_cost, abs=0.15)
        assert branches.odd[number, 0] / UNIT == pytest.approx(cost(magnitude, odd, row, quantizer), abs=0.15)
        if abs(even_cost - zero_cost) > 0.3:
            assert not branches.even_is_zero[number, 0]
        elif even == 0:
            assert branches.even_is_zero[number, 0]


@pytest.mark.parametrize("quantizer", [0, 1])
def test_the_points_of_the_nearest_integers_enclose_a_magnitude(quantizer: int) -> None:
    magnitudes = np.arange(0, 40 << MAGNITUDE_BITS, 5, dtype=np.int32)
    even, odd = (np.asarray(x) for x in trellis_costs.nearest_integers(jnp.asarray(magnitudes), quantizer))
    assert (even % 2 == 0).all()
    assert (odd % 2 == 1).all()
    assert (np.abs(even - odd) == 1).all()
    points = (np.stack([even, odd]) - 0.5 * quantizer) * (1 << MAGNITUDE_BITS)
    assert (points.min(axis=0) <= magnitudes).all()
    assert (points.max(axis=0) >= magnitudes).all()


def test_sums_of_costs_of_huge_coefficients_stay_in_32_bits() -> None:
    values = jnp.asarray([[5.0], [500.0], [30000.0], [2.0**23], [np.inf]], jnp.float32)
    branches = branch_costs(to_fixed(values), jnp.full((5, 1), RATES[0], jnp.int32), 0, FIXED_WEIGHT)
    for costs in (branches.even, branches.odd):
        assert (511 * np.abs(np.asarray(costs, np.int64)) < trellis_costs.UNREACHABLE).all()
    assert not branches.even_is_zero.any()


def test_ends_of_block_cost_the_bits_of_their_frequencies() -> None:
    frequencies = np.asarray(MODEL.end_frequencies, np.float64)[:, :N_ENDS_OF_BLOCK]
    bits = (PRECISION - np.log2(frequencies)).reshape(-1)
    np.testing.assert_allclose(np.asarray(ENDS) / UNIT, bits, atol=0.5 / UNIT)
