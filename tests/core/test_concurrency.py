import itertools
import os
import threading
import time

import pytest

from nvc_jax.core.concurrency import count_workers, map_in_order


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
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert count_workers() == 2
    finally:
        os.sched_setaffinity(0, cores)
    assert count_workers() == min(max(len(cores), 2), 32)
