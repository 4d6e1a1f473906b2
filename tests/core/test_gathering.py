import threading
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.gathering import map_gathering

Ask = Callable[[int], int]


def square_all(requests: list[int]) -> list[int]:
    return [request**2 for request in requests]


def test_requests_of_a_round_are_answered_together() -> None:
    rounds: list[list[int]] = []

    def answer(requests: list[int]) -> list[int]:
        rounds.append(requests)
        return square_all(requests)

    def ask_as_often_as_the_number(number: int, ask: Ask) -> int:
        time.sleep(0.01 * (3 - number % 4))  # whoever comes last, the rounds are the same
        return sum(ask(10 * number + turn) for turn in range(number))

    results = list(map_gathering(ask_as_often_as_the_number, [2, 0, 3, 1], answer, threading.Semaphore(2)))
    assert results == [20**2 + 21**2, 0, 30**2 + 31**2 + 32**2, 10**2]
    assert rounds == [[20, 30, 10], [21, 31], [32]]


def test_items_that_ask_nothing_need_no_answer() -> None:
    def answer(_: list[int]) -> list[int]:
        raise AssertionError

    assert list(map_gathering(lambda item, _: -item, range(5), answer, threading.Semaphore(2))) == [
        *(0, -1, -2, -3, -4)
    ]


def test_an_error_of_an_item_is_raised_in_its_place_and_loses_no_other() -> None:
    def fail_at_2(number: int, ask: Ask) -> int:
        if number == 2:
            raise KeyError("two")
        return ask(number)

    results = map_gathering(fail_at_2, range(5), square_all, threading.Semaphore(2))
    assert [next(results) for _ in range(2)] == [0, 1]
    with pytest.raises(KeyError, match="two"):
        next(results)


def test_an_error_of_the_answer_reaches_those_who_asked() -> None:
    def answer(requests: list[int]) -> list[int]:
        if 3 in requests:
            raise RuntimeError("no memory")
        return square_all(requests)

    def ask_again(number: int, ask: Ask) -> int:
        try:
            return ask(number)
        except RuntimeError:
            return ask(0) - 1

    assert list(map_gathering(ask_again, [2, 3], answer, threading.Semaphore(2))) == [-1, -1]
    results = map_gathering(lambda number, ask: ask(number), [3, 3], answer, threading.Semaphore(2))
    with pytest.raises(RuntimeError, match="no memory"):
        next(results)
    assert list(map_gathering(ask_again, [], answer, threading.Semaphore(2))) == []
    results = map_gathering(lambda number, ask: ask(number), [1, 2], lambda _: [1], threading.Semaphore(2))
    with pytest.raises(ValueError, match="shorter"):  # an answer is missing
        list(results)


def test_few_threads_compute_at_a_time_and_those_that_wait_do_not_count() -> None:
    lock, n_at_work, most_at_work = threading.Lock(), 0, 0

    def work(number: int, ask: Ask) -> int:
        nonlocal n_at_work, most_at_work
        for _ in range(3):
            with lock:
                n_at_work += 1
                most_at_work = max(most_at_work, n_at_work)
            time.sleep(0.002)
            with lock:
                n_at_work -= 1
            number = ask(number)
        return number

    assert list(map_gathering(work, range(9), list, threading.Semaphore(2))) == [*range(9)]
    assert most_at_work <= 2


def test_items_are_computed_on_the_host_and_answers_on_the_device_of_the_caller() -> None:
    first, second = jax.devices()

    def answer(requests: list[set[jax.Device]]) -> list[set[jax.Device]]:
        return [request | jnp.zeros(1).devices() for request in requests]

    def work(_: int, ask: Callable[[set[jax.Device]], set[jax.Device]]) -> set[jax.Device]:
        assert (np.ones(1, np.float64) + jnp.ones(1)).dtype == np.float32  # of settings that hold for all
        return ask(jnp.zeros(1).devices())

    with jax.default_device(second), jax.enable_x64(True):
        results = list(map_gathering(work, range(2), answer, threading.Semaphore(2)))
    assert results == [{first, second}] * 2
