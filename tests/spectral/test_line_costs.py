import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.spectral import line_costs
from nvc_jax.transform import axis_transform
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS

SIDE = 72

costs_of_lines = jax.jit(line_costs.line_costs)
make_axis_transform = jax.jit(axis_transform.make_axis_transform, static_argnums=0)


def test_costs_grow_with_magnitudes_and_are_bounded_by_dropping() -> None:
    step = jnp.float32(0.5)
    costs = [
        float(line_costs.estimate_cost(jnp.full(3, value, jnp.float32), step).sum()) for value in range(9)
    ]
    assert costs[0] == 0
    assert costs == sorted(costs)
    small = float(line_costs.estimate_cost(jnp.float32(0.05), step))
    assert small == pytest.approx(6 * 0.1**2, rel=1e-5)


def cost_in_steps(coefficients: np.ndarray) -> np.ndarray:
    magnitudes = np.abs(coefficients)
    exponents = np.floor(np.log2(1 + magnitudes))
    rough_log2 = exponents + (1 + magnitudes) / 2**exponents - 1
    return np.minimum(6 * magnitudes**2, 3 + 2 * rough_log2)


@given(
    st.integers(0, len(SEGMENT_LENGTHS) - 1),
    st.integers(0, len(FILTERS) - 1),
    st.integers(1, SIDE),
    st.sampled_from([1, 37]),
    st.floats(1e-4, 10),
)
def test_a_line_costs_what_its_coefficients_cost_but_for_dc(
    length: int, name: int, valid: int, n_lines: int, step: float
) -> None:
    lines = np.random.default_rng(valid).uniform(-0.5, 0.5, (n_lines, SIDE)).astype(np.float32)
    transform = make_axis_transform(SIDE, *map(jnp.int32, (valid, length, name)))
    coefficients = np.asarray(transform.analysis, np.float64) @ lines.T
    are_means = np.arange(n_lines) % 3 == 0
    is_dc = np.zeros(coefficients.shape, bool)
    is_dc[::BLOCK_SIZE] = np.outer(transform.is_dc, are_means)
    expected = np.where(is_dc, 0, cost_in_steps(coefficients / step))
    costs = costs_of_lines(
        jnp.asarray(lines),
        transform.analysis,
        line_costs.mark_dc(transform.is_dc),
        jnp.float32(step),
        jnp.asarray(are_means),
    )
    np.testing.assert_allclose(costs, expected.sum(axis=0), rtol=1e-3, atol=1e-3)
