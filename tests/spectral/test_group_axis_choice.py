from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.spectral import axis_decision, group_axis_choice
from nvc_jax.spectral.shape_lines import Lines, Transforms

N_AXES, N_LENGTHS, N_FILTERS, SIDE = 2, 5, 4, 24

by_kernel = jax.jit(partial(group_axis_choice.choose, interpret=True))
by_reference = jax.jit(axis_decision.choose_reference)


@pytest.mark.parametrize("seed", range(6))
def test_kernels_choose_as_the_specification(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 70
    lines = Lines(
        jnp.asarray(rng.normal(size=(n, SIDE)), jnp.float32),
        jnp.asarray(rng.random(n) < 0.3),
        jnp.asarray(rng.random(n), jnp.float32),
    )
    scales = rng.uniform(0.2, 1, (N_AXES, N_LENGTHS, N_FILTERS, 1, 1))
    analysis = rng.normal(size=(N_AXES, N_LENGTHS, N_FILTERS, SIDE, SIDE)) * scales
    is_dc = rng.random((N_AXES, N_LENGTHS, SIDE)) < 0.1
    means = rng.choice([1, 1e9], N_LENGTHS) * (np.arange(N_LENGTHS) > 0)
    arguments = (
        *(lines, Transforms(jnp.asarray(analysis, jnp.float32), jnp.asarray(is_dc)), jnp.int32(seed % 2)),
        *(jnp.asarray(rng.integers(0, 4, (2, 3)), jnp.int32), jnp.int32(seed % 3)),
        *(jnp.asarray(rng.uniform(0, 300, (N_LENGTHS,) * 3), jnp.float32), jnp.asarray(means, jnp.float32)),
        jnp.float32(0.25),
    )
    choice, cost = by_kernel(*arguments)
    expected, of_expected = by_reference(*arguments)
    np.testing.assert_array_equal(choice, expected)
    assert float(cost) == pytest.approx(float(of_expected), rel=1e-5)
