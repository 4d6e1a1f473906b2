import jax
import jax.numpy as jnp
from jax import lax
from loop_trips import count_steps


def halve(value: jax.Array) -> jax.Array:
    return lax.while_loop(lambda v: v > 1, lambda v: v // 2, value)


def test_steps_that_depend_on_data_are_counted_in_order() -> None:
    def program(first: jax.Array, second: jax.Array) -> jax.Array:
        doubled = lax.fori_loop(0, 3, lambda _, v: 2 * v, first)  # always three steps: not counted
        return jax.jit(halve)(doubled) + lax.cond(second > 4, halve, lambda v: v, second)

    assert count_steps(program, jnp.int32(2), jnp.int32(9)) == [4, 3]
    assert count_steps(program, jnp.int32(2), jnp.int32(3)) == [4]


def test_the_form_for_accelerators_is_run() -> None:
    def program(value: jax.Array) -> jax.Array:
        return lax.platform_dependent(value, cpu=lambda v: v, default=halve)

    assert count_steps(program, jnp.int32(8)) == [3]
