import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from nvc_jax.core.batching import common_bound, in_turn_on_tpus, map_in_turn, map_rows, varying_like


@pytest.mark.parametrize(("n", "rows_per_step"), [(1, 4), (8, 4), (10, 4), (7, 100)])
def test_rows_are_mapped_in_order(n: int, rows_per_step: int) -> None:
    rows = (np.arange(2 * n, dtype=np.int32).reshape(n, 2), np.arange(n, dtype=np.int32))
    seen = []

    def function(part: tuple[jax.Array, jax.Array]) -> dict[str, jax.Array]:
        pairs, singles = part
        seen.append(len(singles))
        return {"sum": pairs.sum(axis=1), "square": singles**2}

    results = jax.jit(lambda rows: map_rows(function, rows, rows_per_step))(rows)
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


def test_loops_of_a_batch_have_one_number_of_steps() -> None:
    def total(n_steps: jax.Array, values: jax.Array) -> jax.Array:
        def add(step: jax.Array, total: jax.Array) -> jax.Array:
            return total + jnp.where(step < n_steps, values[step], 0)

        return jax.lax.fori_loop(0, common_bound(n_steps), add, jnp.int32(0))

    n_steps, values = jnp.array([[1, 4], [0, 2]], jnp.int32), jnp.arange(1, 6, dtype=jnp.int32)
    batch = jax.vmap(jax.vmap(total, (0, None)), (0, None))
    np.testing.assert_array_equal(jax.jit(batch)(n_steps, values), [[1, 10], [0, 3]])
    loop = next(line for line in str(jax.make_jaxpr(batch)(n_steps, values)).splitlines() if "bool[]" in line)
    assert " = lt " in loop  # the condition is of the whole batch


def test_few_items_are_mapped_on_every_platform() -> None:
    items, scale = (jnp.arange(6.0).reshape(3, 2), jnp.arange(3.0)), jnp.float32(2)

    def program(items: tuple[jax.Array, jax.Array], scale: jax.Array) -> dict[str, jax.Array]:
        return map_in_turn(lambda item: {"sum": scale * item[0].sum() + item[1]}, items)

    np.testing.assert_array_equal(jax.jit(program)(items, scale)["sum"], [2, 11, 20])
    for platform, loops in (("cpu", 1), ("cuda", 0)):
        text = jax.jit(program).trace(items, scale).lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.while") == loops


def test_tpus_run_a_batch_in_turn() -> None:
    def scale(number: jax.Array, values: dict[str, jax.Array], offset: jax.Array) -> dict[str, jax.Array]:
        return {"scaled": number * jnp.sort(values["own"]) + offset, "offset": offset}

    numbers, values = jnp.arange(3.0), {"own": jnp.arange(6.0).reshape(3, 2)}

    def program(numbers: jax.Array, values: dict[str, jax.Array], offset: jax.Array) -> dict[str, jax.Array]:
        return jax.vmap(in_turn_on_tpus(scale), (0, 0, None))(numbers, values, offset)

    arguments = (numbers, values, jnp.float32(1))
    scaled = jax.jit(program)(*arguments)
    np.testing.assert_array_equal(scaled["scaled"], numbers[:, None] * values["own"] + 1)
    np.testing.assert_array_equal(scaled["offset"], [1, 1, 1])
    assert "while" not in str(
        jax.make_jaxpr(in_turn_on_tpus(scale))(numbers[0], {"own": numbers}, numbers[1])
    )
    for platform, loops in (("tpu", 1), ("cuda", 0)):
        text = jax.jit(program).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.while") == loops
