import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.jax_settings import gather, in_own_settings


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


@pytest.mark.parametrize("axis_type", [AxisType.Explicit, AxisType.Auto])
def test_arrays_on_explicit_axes_are_gathered(axis_type: AxisType) -> None:
    mesh = jax.make_mesh((jax.device_count(),), ("z",), axis_types=(axis_type,))
    array = jax.device_put(jnp.arange(8.0).reshape(4, 2), NamedSharding(mesh, PartitionSpec("z")))
    for gathered in (gather(array), jax.jit(gather)(array)):
        np.testing.assert_array_equal(gathered, array)
        assert jax.typeof(gathered).sharding.spec == PartitionSpec(None, None)
    assert gather(jnp.zeros(3)).shape == (3,)
