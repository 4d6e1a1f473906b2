from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.jax_settings import gather, in_own_settings, keep_own_settings


def make_nan(number: int) -> str:
    """Compute what strict settings forbid; the dtype of the result."""
    return str((np.float64(number) * jnp.zeros(1) / jnp.zeros(1)).dtype)


def test_settings_of_the_process_are_set_aside_in_every_thread() -> None:
    names = ("jax_enable_x64", "jax_debug_nans", "jax_transfer_guard")
    before = {name: jax.config.values[name] for name in names}
    try:
        for name, value in zip(names, (True, True, "disallow"), strict=True):
            jax.config.update(name, value)
        assert in_own_settings(make_nan)(1) == "float32"
        assert list(map_in_order(make_nan, range(3))) == ["float32"] * 3
        assert jax.config.jax_enable_x64
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def test_settings_are_set_aside_within_a_block_that_has_set_them_aside() -> None:
    make = in_own_settings(make_nan)

    def make_in_others() -> list[str]:
        made = [make(1)]
        for others in (jax.enable_x64(True), jax.transfer_guard_host_to_device("disallow")):
            with others:
                made.append(make(1))
        return [*made, make(1)]

    assert in_own_settings(make_in_others)() == ["float32"] * 4
    with jax.enable_x64(True):
        assert make_nan(1) == "float64"


def test_threads_keep_settings_that_others_may_set_aside() -> None:
    def compute_twice(number: int) -> tuple[str, str, str]:
        with jax.enable_x64(True):
            inner = in_own_settings(make_nan)(number)
            theirs = str(jnp.zeros(1, float).dtype)
        return inner, theirs, str(jnp.zeros(1, float).dtype)

    before = jax.config.values["jax_debug_nans"]
    with ThreadPoolExecutor(1, initializer=keep_own_settings) as executor:
        try:
            jax.config.update("jax_debug_nans", True)
            assert executor.submit(make_nan, 1).result() == "float32"
            assert executor.submit(in_own_settings(make_nan), 1).result() == "float32"
            assert executor.submit(compute_twice, 1).result() == ("float32", "float64", "float32")
        finally:
            jax.config.update("jax_debug_nans", before)


@pytest.mark.parametrize("axis_type", [AxisType.Explicit, AxisType.Auto])
def test_arrays_on_explicit_axes_are_gathered(axis_type: AxisType) -> None:
    mesh = jax.make_mesh((jax.device_count(),), ("z",), axis_types=(axis_type,))
    array = jax.device_put(jnp.arange(8.0).reshape(4, 2), NamedSharding(mesh, PartitionSpec("z")))
    for gathered in (gather(array), jax.jit(gather)(array)):
        np.testing.assert_array_equal(gathered, array)
        assert jax.typeof(gathered).sharding.spec == PartitionSpec(None, None)
    assert gather(jnp.zeros(3)).shape == (3,)
