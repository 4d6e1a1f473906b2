from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.spectral.group_line_costs import Table, costs_of_transforms
from nvc_jax.spectral.line_costs import line_costs

N_AXES, N_LENGTHS, N_FILTERS, SIDE = 2, 3, 2, 72  # more than one tile of coefficients, the last not full
AXIS = 1
STEP = jnp.float32(0.125)

by_kernel = jax.jit(partial(costs_of_transforms, interpret=True))


@pytest.mark.parametrize("n_lines", [1, 70])
def test_the_kernel_sums_up_the_costs_of_the_specification(n_lines: int) -> None:
    rng = np.random.default_rng(n_lines)
    lines = jnp.asarray(rng.normal(size=(n_lines, SIDE)), jnp.float32)
    analysis = jnp.asarray(rng.normal(size=(N_AXES, N_LENGTHS, N_FILTERS, SIDE, SIDE)), jnp.float32)
    is_dc = jnp.asarray(rng.random((N_AXES, N_LENGTHS, SIDE)) < 0.1)
    are_means = jnp.asarray(rng.random(n_lines) < 0.5)
    weights = jnp.asarray(rng.random(n_lines), jnp.float32)
    table = Table(analysis, is_dc, jnp.array([AXIS], jnp.int32), jnp.reshape(STEP, 1))

    def expected(length: int, of_filter: int) -> np.ndarray:
        matrix, dc = analysis[AXIS, length, of_filter], is_dc[AXIS, length]
        return np.asarray(weights * jax.jit(line_costs)(lines, matrix, dc, STEP, are_means))

    by_filter = by_kernel(lines, are_means, weights, table)
    np.testing.assert_allclose(by_filter, [expected(0, number) for number in range(N_FILTERS)], rtol=1e-5)
    best = int(np.argmin(np.sum(by_filter, axis=1)))
    by_length = by_kernel(lines, are_means, weights, table, by_filter)
    np.testing.assert_allclose(by_length, [expected(number, best) for number in range(N_LENGTHS)], rtol=1e-5)
