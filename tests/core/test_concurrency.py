import itertools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import jax
import jax.numpy as jnp
import pytest
from one_core import on_one_core

from nvc_jax.core.concurrency import count_workers, map_batches_on_devices, map_in_order
from nvc_jax.core.devices import sharing_out


def test_results_come_in_the_order_of_items() -> None:
    def slow_at_first(i: int) -> int:
        time.sleep(0.01 if i % 3 == 0 else 0)
        return i * i

    assert list(map_in_order(slow_at_first, range(20))) == [i * i for i in range(20)]


def test_threads_work_at_the_same_time() -> None:
    barrier = threading.Barrier(3, timeout=10)
    assert len(list(map_in_order(lambda _: barrier.wait(), range(3), n_workers=3))) == 3


def test_few_items_are_taken_ahead() -> None:
    taken: list[int] = []
    items = (taken.append(number) or number for number in itertools.count())
    results = map_in_order(lambda item: item, items, n_workers=2)
    assert next(results) == 0
    assert len(taken) == 5  # two for each worker, and the one whose result is awaited
    results.close()


def test_an_error_comes_in_its_place_and_ends_the_work() -> None:
    started = []

    def fail_at_3(i: int) -> int:
        started.append(i)
        if i == 3:
            raise KeyError("three")
        return i

    results = map_in_order(fail_at_3, range(1000), n_workers=1)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="three"):
        next(results)
    assert len(started) < 20


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the system does not bind processes to cores"
)
def test_there_is_a_thread_for_each_core_of_the_process() -> None:
    with on_one_core():
        assert count_workers() == 2
    assert count_workers() == min(max(len(os.sched_getaffinity(0)), 2), 32)


def test_batches_have_results_in_the_order_of_items() -> None:
    sizes = []

    def double(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        return [2 * item for item in batch]

    assert list(map_batches_on_devices(double, range(11), 4)) == [2 * item for item in range(11)]
    assert sorted(sizes) == [3, 4, 4]
    assert list(map_batches_on_devices(double, range(5), 1)) == [0, 2, 4, 6, 8]
    assert list(map_batches_on_devices(double, [], 4)) == []


def test_few_items_are_shared_out_in_smaller_batches() -> None:
    sizes = []

    def same(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        return batch

    with sharing_out(jax.devices()):
        assert list(map_batches_on_devices(same, range(50), 64, 50)) == [*range(50)]
    assert sorted(sizes) == [2, 16, 16, 16]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_error_of_an_item_may_come_in_the_place_of_its_result(batch_size: int) -> None:
    def fail_at_4(batch: list[int]) -> Iterator[int]:
        futures = [Future[int]() for _ in batch]
        for item, future in zip(batch, futures, strict=True):
            if item == 4:
                future.set_exception(KeyError("four"))
            else:
                future.set_result(item)
        return (future.result() for future in futures)

    results = map_batches_on_devices(fail_at_4, range(8), batch_size)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(KeyError, match="four"):
        next(results)


def test_a_device_computes_one_batch_while_the_next_one_is_prepared() -> None:
    barrier = threading.Barrier(2, timeout=10)

    def wait(batch: list[int]) -> list[int]:
        barrier.wait()  # two are at work at the same time
        return batch

    assert list(map_batches_on_devices(wait, range(12), 3)) == list(range(12))


def test_batches_are_shared_out_among_devices() -> None:
    def device_of(batch: list[int]) -> list[jax.Device]:
        (device,) = jnp.zeros(1).devices()
        time.sleep(0.01)
        return [device] * len(batch)

    with sharing_out(jax.devices()):
        used = list(map_batches_on_devices(device_of, range(40), 2))
    assert set(used) == set(jax.devices())


def test_an_error_in_a_batch_comes_after_the_results_before_it() -> None:
    def fail_at_5(batch: list[int]) -> list[int]:
        if 5 in batch:
            raise KeyError("five")
        return batch

    results = map_batches_on_devices(fail_at_5, range(8), 2)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(KeyError, match="five"):
        next(results)
