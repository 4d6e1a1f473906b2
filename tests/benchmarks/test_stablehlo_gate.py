from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from stablehlo_gate import count_steps, find_hazards

BUFFER = jax.ShapeDtypeStruct((1000,), jnp.int32)
COUNT = jax.ShapeDtypeStruct((), jnp.int32)


def rules(function: Callable[..., Any], *arguments: Any, large_bytes: int = 2000) -> list[str]:
    module = jax.jit(function).lower(*arguments).compiler_ir("stablehlo")
    return [finding.rule for finding in find_hazards(module, large_bytes)]


def update(index: jax.Array, buffer: jax.Array) -> jax.Array:
    return buffer.at[index].set(index)


def loop(step: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable[..., jax.Array]:
    return lambda count, buffer: lax.fori_loop(0, count, step, buffer)


def test_an_update_in_place_is_no_hazard() -> None:
    assert rules(loop(update), COUNT, BUFFER) == []
    assert rules(loop(jax.jit(update)), COUNT, BUFFER) == []


def test_a_choice_between_buffers_is_a_hazard() -> None:
    def branch(index: jax.Array, buffer: jax.Array) -> jax.Array:
        return lax.cond(index > 3, lambda b: update(index, b), lambda b: b, buffer)

    def select(index: jax.Array, buffer: jax.Array) -> jax.Array:
        return jnp.where(index > 3, update(index, buffer), buffer)

    for step in (branch, select, jax.jit(branch), jax.jit(select)):
        assert set(rules(loop(step), COUNT, BUFFER)) == {"choice in a loop"}
        assert rules(loop(step), COUNT, BUFFER, large_bytes=5000) == []


def test_a_choice_of_a_slice_is_no_hazard() -> None:
    def step(index: jax.Array, buffer: jax.Array) -> jax.Array:
        part = lax.dynamic_slice(buffer, (index,), (600,))
        return lax.dynamic_update_slice(buffer, jnp.where(part > 0, part, 1), (index,))

    assert rules(loop(step), COUNT, BUFFER) == []


def test_a_batched_loop_is_a_hazard() -> None:
    counts, buffers = jax.ShapeDtypeStruct((4,), jnp.int32), jax.ShapeDtypeStruct((4, 1000), jnp.int32)
    found = rules(jax.vmap(loop(update)), counts, buffers)
    assert set(found) == {"vector condition", "choice in a loop"}
    assert rules(jax.vmap(loop(update), in_axes=(None, 0)), COUNT, buffers) == []


def test_float64_and_callbacks_are_hazards() -> None:
    def call(buffer: jax.Array) -> jax.Array:
        return jax.pure_callback(lambda b: b, BUFFER, buffer)

    assert rules(call, BUFFER) == ["callback"]
    with jax.enable_x64(True):
        assert "float64" in rules(lambda b: b.astype(jnp.float64) + 1, BUFFER)


def test_a_finding_names_the_line() -> None:
    module = jax.jit(jax.vmap(loop(update))).lower(
        jax.ShapeDtypeStruct((4,), jnp.int32), jax.ShapeDtypeStruct((4, 1000), jnp.int32)
    )
    findings = find_hazards(module.compiler_ir("stablehlo"), 2000)
    assert all("benchmarks/test_stablehlo_gate.py:" in str(finding) for finding in findings)


@pytest.mark.parametrize("width", [jnp.uint16, jnp.int32, jnp.float32])
def test_sizes_are_in_bytes(width: Any) -> None:
    def step(index: jax.Array, buffer: jax.Array) -> jax.Array:
        return jnp.where(index > 3, buffer.at[index].set(index.astype(width)), buffer)

    n_bytes = 1000 * jnp.dtype(width).itemsize
    buffer = jax.ShapeDtypeStruct((1000,), width)
    assert rules(loop(step), COUNT, buffer, large_bytes=n_bytes)
    assert not rules(loop(step), COUNT, buffer, large_bytes=n_bytes + 1)


def test_steps_of_loops_are_counted_with_inner_ones() -> None:
    def rows(buffer: jax.Array) -> jax.Array:
        return lax.map(lambda row: lax.fori_loop(0, 5, lambda _, v: v * 2, row), buffer.reshape(20, 50))

    assert count_steps(jax.jit(rows).lower(BUFFER).compiler_ir("stablehlo")) == 20 * (1 + 5)
    assert count_steps(jax.jit(loop(update)).lower(COUNT, BUFFER).compiler_ir("stablehlo")) == 1
    assert count_steps(jax.jit(jnp.sin).lower(jnp.ones(3)).compiler_ir("stablehlo")) == 0
