from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.platforms import Forms, choose_form, hoist, may_use_tpu_kernels

FORMS = Forms(cpu=lambda x: x + 1, default=lambda x: x * 2, cuda=lambda x: x - 3, tpu=lambda x: -x)
VALUES = jnp.arange(6, dtype=jnp.int32).reshape(2, 3)


def run(values: jax.Array) -> jax.Array:
    return choose_form(FORMS, values, values)


def test_a_program_runs_the_form_of_its_platform() -> None:
    for form in (run, jax.jit(run), jax.vmap(run), jax.jit(jax.vmap(jax.vmap(run)))):
        np.testing.assert_array_equal(form(VALUES), VALUES + 1)


OPERATIONS = {"cpu": "add", "cuda": "subtract", "tpu": "negate", "rocm": "multiply"}


@pytest.mark.parametrize("platform", OPERATIONS)
def test_a_program_holds_one_form(platform: str) -> None:
    for form in (run, jax.vmap(run)):
        text = jax.jit(form).trace(VALUES).lower(lowering_platforms=(platform,)).as_text()
        held = {name for name in OPERATIONS.values() if f"stablehlo.{name} " in text}
        assert held == {OPERATIONS[platform]}


def test_tpus_without_a_form_of_their_own_run_the_default() -> None:
    forms = FORMS._replace(tpu=None)
    traced = jax.jit(lambda values: choose_form(forms, values, values)).trace(VALUES)
    assert "stablehlo.multiply " in traced.lower(lowering_platforms=("tpu",)).as_text()


def test_forms_are_traced_in_our_settings() -> None:
    def form(values: jax.Array) -> jax.Array:
        return values + jnp.arange(3)[None]  # of 64 bits where the user has asked for them

    with jax.enable_x64(True):
        traced = jax.jit(lambda values: choose_form(Forms(form, form, form), values, values)).trace(VALUES)
        for platform in OPERATIONS:
            assert "i64" not in traced.lower(lowering_platforms=(platform,)).as_text()


def test_hoisted_functions_use_traced_arrays_later() -> None:
    @jax.jit
    def program(scale: jax.Array, values: jax.Array) -> dict[str, jax.Array]:
        hoisted, results, captured = hoist(lambda x: {"scaled": x * scale}, values)
        assert results["scaled"].shape == values.shape
        forms = Forms(*[lambda captured, values: hoisted(captured, values)] * 3)
        return choose_form(forms, results, captured, values)

    np.testing.assert_array_equal(program(jnp.int32(3), VALUES)["scaled"], VALUES * 3)


@pytest.mark.parametrize("has_devices", [True, False])
def test_the_mesh_of_a_shard_map_tells_which_form_is_traced(has_devices: bool) -> None:
    """A mesh without devices tells nothing: then all forms are traced, and the program holds one of them."""
    traced = []

    def form_of(platform: str) -> Callable[[jax.Array], jax.Array]:
        def form(values: jax.Array) -> jax.Array:
            traced.append(platform)
            return values + len(platform)

        return form

    forms = Forms(*map(form_of, Forms._fields))
    mesh = jax.make_mesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    if not has_devices:
        mesh = jax.sharding.AbstractMesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    part = jax.sharding.PartitionSpec("x")
    mapped = jax.shard_map(
        lambda values: choose_form(forms, None, values), mesh=mesh, in_specs=part, out_specs=part
    )
    np.testing.assert_array_equal(jax.jit(mapped)(VALUES), VALUES + len("cpu"))
    assert set(traced) == ({"cpu"} if has_devices else {"cpu", "default", "tpu"})  # instead of GPUs' own, too


def test_tpus_have_kernels_in_programs_of_one_device_only() -> None:
    seen = []

    def form(values: jax.Array) -> jax.Array:
        seen.append(may_use_tpu_kernels())
        return values

    def program(values: jax.Array) -> jax.Array:
        return choose_form(FORMS._replace(tpu=form), values, values)

    values = jnp.arange(8, dtype=jnp.int32)
    jax.jit(program).trace(values).lower(lowering_platforms=("tpu",))
    mesh = jax.make_mesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    part = jax.sharding.PartitionSpec("x")
    jax.jit(jax.shard_map(program, mesh=mesh, in_specs=part, out_specs=part))(values)
    devices = jax.sharding.AbstractMesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    divided = jax.ShapeDtypeStruct((8,), jnp.int32, sharding=jax.sharding.NamedSharding(devices, part))
    jax.jit(program).trace(divided).lower(lowering_platforms=("tpu",))
    assert seen == [True, False]
