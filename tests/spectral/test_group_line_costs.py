import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.spectral.group_line_costs import costs_of_transforms
from nvc_jax.spectral.line_costs import line_costs

N_AXES, N_LENGTHS, N_FILTERS, SIDE = 2, 3, 2, 72  # more than one tile of coefficients, the last not full
STEP = jnp.float32(0.125)


@pytest.mark.parametrize("along_lengths", [False, True])
@pytest.mark.parametrize("n_lines", [1, 70])
def test_the_kernel_sums_up_the_costs_of_the_specification(n_lines: int, along_lengths: bool) -> None:
    rng = np.random.default_rng(n_lines)
    lines = jnp.asarray(rng.normal(size=(n_lines, SIDE)), jnp.float32)
    analysis = rng.normal(size=(N_AXES, N_LENGTHS, N_FILTERS, SIDE, SIDE)).astype(np.float32)
    is_dc = rng.random((N_AXES, N_LENGTHS, SIDE)) < 0.1
    are_means = jnp.asarray(rng.random(n_lines) < 0.5)
    axis, n_transforms = 1, N_LENGTHS if along_lengths else N_FILTERS
    first_filter = 1 if along_lengths else 0
    costs = costs_of_transforms(
        *(lines, are_means, jnp.asarray(analysis), jnp.asarray(is_dc)),
        *(jnp.int32(axis), jnp.int32(first_filter), STEP),
        n_transforms=n_transforms,
        along_lengths=along_lengths,
        interpret=True,
    )
    for number, of_transform in enumerate(costs):
        place = (axis, number, first_filter) if along_lengths else (axis, 0, first_filter + number)
        matrix, dc = jnp.asarray(analysis[place]), jnp.asarray(is_dc[place[:2]])
        expected = jax.jit(line_costs)(lines, matrix, dc, STEP, are_means)
        np.testing.assert_allclose(of_transform, expected, rtol=1e-5)
