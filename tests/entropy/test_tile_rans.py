import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.entropy import rans
from nvc_jax.entropy.frequency_tables import make_tables, quantize_frequencies
from nvc_jax.entropy.tile_rans import prepare_steps, push_steps
from nvc_jax.entropy.tokens import MAX_MAGNITUDE, N_TOKENS


@pytest.mark.parametrize("n_lanes", [32, 96, 160])
def test_steps_are_those_of_push(n_lanes: int) -> None:
    draw = np.random.default_rng(n_lanes)
    n_steps, n_rows = 9, 5
    tables = make_tables(jnp.asarray(quantize_frequencies(draw.dirichlet(np.full(N_TOKENS, 0.05), n_rows))))
    row = jnp.asarray(draw.integers(0, n_rows, (n_steps, n_lanes)), jnp.int32)
    magnitude = 2.0 ** draw.uniform(0, np.log2(MAX_MAGNITUDE), row.shape)
    value = jnp.asarray(magnitude * draw.choice([-1, 0, 0.001, 1], row.shape), jnp.int32)
    active = jnp.asarray(draw.random(row.shape) < 0.8)
    start = rans.start_encoding(jnp.int32(n_lanes), n_lanes, rans.capacity(n_steps * n_lanes, n_lanes))

    wanted = start
    for step in range(n_steps):
        wanted = jax.jit(rans.push)(wanted, tables, row[step], value[step], active[step])
    steps = jax.jit(prepare_steps)(tables, row, value, active)
    coder = jax.jit(push_steps, static_argnames="interpret")(start, steps, interpret=True)
    for leaf, wanted_leaf in zip(coder, wanted, strict=True):
        np.testing.assert_array_equal(leaf, wanted_leaf)
