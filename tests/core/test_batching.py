import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from nvc_jax.core.batching import map_rows, varying_like


@pytest.mark.parametrize(("n", "rows_per_step"), [(1, 4), (8, 4), (10, 4), (7, 100)])
def test_rows_are_mapped_in_order(n: int, rows_per_step: int) -> None:
    rows = (jnp.arange(2 * n).reshape(n, 2), jnp.arange(n))
    seen = []

    def function(part: tuple[jax.Array, jax.Array]) -> dict[str, jax.Array]:
        pairs, singles = part
        seen.append(len(singles))
        return {"sum": pairs.sum(axis=1), "square": singles**2}

    results = map_rows(function, rows, rows_per_step)
    np.testing.assert_array_equal(results["sum"], rows[0].sum(axis=1))
    np.testing.assert_array_equal(results["square"], rows[1] ** 2)
    assert max(seen) <= rows_per_step


def test_loops_may_carry_constants_inside_of_shard_map() -> None:
    mesh = Mesh(np.array(jax.devices()), ("devices",))
    spec = PartitionSpec("devices")

    def total(part: jax.Array) -> jax.Array:
        start = varying_like(part, {"sum": jnp.zeros((), jnp.int32)})
        result = jax.lax.fori_loop(0, len(part), lambda i, state: {"sum": state["sum"] + part[i]}, start)
        return result["sum"][None]

    n = len(jax.devices())
    values = jnp.arange(4 * n, dtype=jnp.int32)
    sums = jax.jit(jax.shard_map(total, mesh=mesh, in_specs=spec, out_specs=spec))(values)
    np.testing.assert_array_equal(sums, values.reshape(n, 4).sum(axis=1))
