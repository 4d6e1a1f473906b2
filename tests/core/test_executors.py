import multiprocessing
import os
import threading

import pytest
from one_core import on_one_core

from nvc_jax.core.executors import borrow_executor, run_in_threads


def thread_of(executor_threads: int) -> int:
    with borrow_executor(executor_threads) as executor:
        return executor.submit(threading.get_ident).result()


def test_threads_are_kept_between_two_calls() -> None:
    assert thread_of(1) == thread_of(1) != threading.get_ident()


def test_nobody_shares_an_executor() -> None:
    with borrow_executor(1) as first, borrow_executor(1) as second:
        assert first is not second
        assert first.submit(threading.get_ident).result() != second.submit(threading.get_ident).result()


def test_few_executors_are_kept() -> None:
    before = threading.active_count()
    for n_threads in range(1, 12):
        thread_of(n_threads)
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPoolExecutor") and threading.active_count() > before + 4:
            thread.join(timeout=1)
    assert threading.active_count() <= before + 4


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="the system does not bind threads to cores, or has one",
)
def test_threads_use_the_cores_of_the_thread_that_asks() -> None:
    def cores() -> set[int]:
        with borrow_executor(3) as executor:
            return executor.submit(os.sched_getaffinity, 0).result()

    assert cores() == os.sched_getaffinity(0)
    with on_one_core() as core:
        assert cores() == {core}


def test_work_that_fails_ends_its_threads() -> None:
    begin, begun, done = threading.Event(), threading.Event(), []

    def work(number: int) -> None:
        begun.set()
        begin.wait(10)
        done.append(number)

    def interrupt() -> None:
        with borrow_executor(1) as executor:
            futures.extend(executor.submit(work, number) for number in range(3))
            begun.wait(10)
            begin.set()
            raise KeyError("interrupted")

    futures: list = []
    with pytest.raises(KeyError, match="interrupted"):
        interrupt()
    assert all(future.done() for future in futures)
    assert done == [number for number, future in enumerate(futures) if not future.cancelled()]


def _use_in_child(results: multiprocessing.Queue) -> None:
    results.put(thread_of(1))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no processes are forked")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_process_has_threads_of_its_own() -> None:
    thread_of(1)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_use_in_child, args=(results,))
    child.start()
    assert results.get(timeout=30)
    child.join()


def test_work_that_nobody_waits_for_is_done_by_all_threads() -> None:
    barrier, threads, finished = threading.Barrier(3, timeout=10), [], threading.Event()

    def work() -> None:
        threads.append(threading.get_ident())
        barrier.wait()

    run_in_threads(work, finished.set, 2)
    assert not finished.is_set()
    barrier.wait()
    assert finished.wait(timeout=10)
    assert len(set(threads)) == 2
