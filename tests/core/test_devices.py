import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.concurrency import map_on_devices
from nvc_jax.core.devices import (
    DeviceCopies,
    DeviceRota,
    copies_of,
    devices_in_use,
    on_host,
    on_this_device,
    platform_here,
    sharing_out,
)


def device_here() -> jax.Device:
    """Device on which this thread computes."""
    (device,) = jnp.zeros(1).devices()
    return device


def test_devices_of_a_cpu_are_not_shared_out_by_themselves() -> None:
    assert jax.local_device_count() == 2
    assert devices_in_use() == (None,)
    assert set(map_on_devices(lambda _: device_here(), range(4))) == {jax.devices()[0]}


def test_work_is_shared_out_once_the_first_piece_is_done() -> None:
    barrier = threading.Barrier(2, timeout=10)

    def work(number: int) -> jax.Device:
        if number >= 4:  # the others may have begun before the first was done
            barrier.wait()  # two are at work at the same time
        return device_here()

    with sharing_out(jax.devices()):
        used = list(map_on_devices(work, range(12)))
    assert used[0] == jax.devices()[0]
    assert set(used) == set(jax.devices())


def test_the_device_with_the_least_work_is_next() -> None:
    rota = DeviceRota(jax.devices())
    with rota.turn(), rota.turn():  # nothing is compiled yet
        assert device_here() == jax.devices()[0]
    with rota.turn():
        assert device_here() == jax.devices()[0]
        with rota.turn():
            assert device_here() == jax.devices()[1]
        with rota.turn():
            assert device_here() == jax.devices()[1]
    with pytest.raises(KeyError), rota.turn():
        raise KeyError
    with rota.turn(), rota.turn():
        assert device_here() == jax.devices()[1]
    assert device_here() == jax.devices()[0]


def test_a_default_device_that_the_user_chose_is_the_only_one() -> None:
    with jax.default_device(jax.devices()[1]):
        assert set(map_on_devices(lambda _: device_here(), range(4))) == {jax.devices()[1]}


def test_a_tree_is_copied_once_to_each_device() -> None:
    copies = DeviceCopies({"weights": np.arange(3, dtype=np.float32)})
    here = copies.here()
    assert copies.here() is here
    with jax.default_device(jax.devices()[1]):
        there = copies.here()
    assert here["weights"].devices() == {jax.devices()[0]}
    assert there["weights"].devices() == {jax.devices()[1]}
    np.testing.assert_array_equal(here["weights"], there["weights"])


def test_arrays_that_nobody_can_change_are_copied_once_for_all() -> None:
    weights = np.arange(3, dtype=np.float32)
    changed = copies_of({"weights": weights})
    weights[0] = 7
    np.testing.assert_array_equal(copies_of({"weights": weights}).here()["weights"], weights)
    assert copies_of({"weights": weights}) is not changed

    weights.setflags(write=False)
    on_device = jnp.ones(2)
    copies = copies_of({"weights": weights, "offset": on_device})
    assert copies_of({"weights": weights, "offset": on_device}) is copies
    assert copies_of({"offset": weights, "weights": on_device}) is not copies
    assert copies_of({"weights": weights}) is not copies
    np.testing.assert_array_equal(copies.here()["weights"], weights)


def test_work_of_other_threads_is_done_on_the_device_of_this_one() -> None:
    first, second = jax.devices()
    with ThreadPoolExecutor(1) as executor:
        with jax.default_device(second):
            work = on_this_device(device_here)
            assert executor.submit(device_here).result() == first
        assert executor.submit(work).result() == second
        assert executor.submit(on_this_device(device_here)).result() == first


def test_the_host_computes_whatever_the_default_device_is() -> None:
    first, second = jax.devices()
    with jax.default_device(second):
        assert device_here() == second
        assert on_host(device_here)() == first
        assert on_host(platform_here)() == platform_here() == "cpu"
        assert device_here() == second
    with jax.default_device("cpu"):
        assert platform_here() == "cpu"
    assert platform_here() == jax.default_backend()
