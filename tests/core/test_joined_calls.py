import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import pytest

from nvc_jax.core.devices import sharing_out
from nvc_jax.core.joined_calls import JoinedCalls

N_CALLS = 20


def call_at_once(joined: JoinedCalls[int, int], items: Sequence[int], released: threading.Event) -> list[int]:
    """Call for each item in a thread, and release what computes when all have called."""
    started = threading.Semaphore(0)

    def call(item: int) -> int:
        started.release()
        return joined(item)

    with ThreadPoolExecutor(len(items)) as executor:
        results = [executor.submit(call, item) for item in items]
        for _ in items:
            started.acquire()
        threading.Timer(0.1, released.set).start()
        return [result.result() for result in results]


def test_calls_that_come_meanwhile_are_computed_together() -> None:
    released, sizes = threading.Event(), []

    def negate(items: list[int]) -> list[int]:
        sizes.append(len(items))
        released.wait()
        return [-item for item in items]

    items = range(N_CALLS)
    assert call_at_once(JoinedCalls(negate, 8), items, released) == [-item for item in items]
    assert sum(sizes) == N_CALLS
    assert max(sizes) == 8
    assert len(sizes) <= 6  # the first two take what is there


def test_a_call_waits_for_no_other() -> None:
    joined = JoinedCalls[int, int](lambda items: [2 * item for item in items], 64)
    assert [joined(item) for item in range(5)] == [0, 2, 4, 6, 8]


def test_errors_are_those_of_items_alone() -> None:
    released = threading.Event()

    def fail_at_3(items: list[int]) -> list[int]:
        released.wait()
        if 3 in items:
            raise KeyError(f"three of {len(items)}")
        return items

    joined = JoinedCalls(fail_at_3, 64)

    def call(item: int) -> int:
        try:
            return joined(item)
        except KeyError:
            return -1

    with ThreadPoolExecutor(6) as executor:
        results = [executor.submit(call, item) for item in range(6)]
        released.set()
    assert [result.result() for result in results] == [0, 1, 2, -1, 4, 5]
    with pytest.raises(KeyError, match="three of 1"):
        joined(3)


def test_batches_are_computed_on_all_devices_in_the_settings_of_the_package() -> None:
    barrier = threading.Barrier(2, timeout=10)

    def device_of(items: list[int]) -> list[jax.Device]:
        if items != [0]:  # which compiles for the others
            barrier.wait()
        array = jnp.zeros(1)
        assert array.dtype == jnp.float32
        return [*array.devices()] * len(items)

    with sharing_out(jax.devices()), jax.enable_x64(True):
        joined = JoinedCalls(device_of, 1)
        assert joined(0) == jax.devices()[0]
        with ThreadPoolExecutor(2) as executor:
            assert set(executor.map(joined, [1, 2])) == set(jax.devices())
