"""Gathering: one call answers the requests that several threads make at the same time.

A round begins when every thread that is still at work waits for an answer. So the items alone decide which
requests are answered together, and time never does.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from nvc_jax.core.devices import on_host
from nvc_jax.core.jax_settings import in_own_settings

T = TypeVar("T")
R = TypeVar("R")

Ask = Callable[[Any], Any]
"""Asks a request, and waits for its answer."""


def map_gathering(
    function: Callable[[T, Ask], R],
    items: Sequence[T],
    answer: Callable[[list[Any]], Sequence[Any]],
    working: threading.Semaphore,
) -> Iterator[R]:
    """Map items by a thread each, and answer what they ask for together.

    Args:
        function: takes an item and what it asks with; computes on the host's processor.
        items: any number.
        answer: gets the answers to requests, which come in the order of their items; called by this thread.
            An error of it is raised where the requests were asked.
        working: threads that may compute at a time: those that wait for an answer do not count.

    Returns:
        The results, all of which are there by then. An error of an item is raised in the place of its result.
    """
    asked: queue.SimpleQueue[tuple[int, tuple[Any, Future[Any]] | None]] = queue.SimpleQueue()

    @in_own_settings
    @on_host
    def compute(number: int, item: T, result: Future[R]) -> None:
        def ask(request: Any) -> Any:
            reply: Future[Any] = Future()
            asked.put((number, (request, reply)))
            working.release()
            try:
                return reply.result()
            finally:
                working.acquire()

        try:
            with working:
                result.set_result(function(item, ask))
        except BaseException as error:
            result.set_exception(error)
        asked.put((number, None))

    n_left, results = 0, [Future[R]() for _ in items]
    for number, (item, result) in enumerate(zip(items, results, strict=True)):
        try:
            threading.Thread(target=compute, args=(number, item, result)).start()
            n_left += 1
        except RuntimeError as error:  # the system has no more threads
            result.set_exception(error)
    while n_left:
        waiting: dict[int, tuple[Any, Future[Any]]] = {}
        while len(waiting) < n_left:
            number, request = asked.get()
            if request is None:
                n_left -= 1
            else:
                waiting[number] = request
        _reply(answer, [waiting[number] for number in sorted(waiting)])
    return (result.result() for result in results)


def _reply(answer: Callable[[list[Any]], Sequence[Any]], waiting: list[tuple[Any, Future[Any]]]) -> None:
    """Answer the requests of a round."""
    if not waiting:
        return
    try:
        answers = answer([request for request, _ in waiting])
        for (_, reply), one in zip(waiting, answers, strict=True):
            reply.set_result(one)
    except BaseException as error:  # else threads would wait for ever
        for _, reply in waiting:
            if not reply.done():
                reply.set_exception(error)
