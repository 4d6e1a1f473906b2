"""Threads whose requests are gathered: what several ask for at the same time is answered by one call.

A round begins when each thread that is left waits for an answer. So it depends on the items alone, and never
on time, which requests are answered together.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
        items: at least one.
        answer: gets the answers to requests, which come in the order of their items; called by this thread.
            An error of it is raised where the requests were asked.
        working: threads that may compute at a time: those that wait for an answer do not count.

    Returns:
        The results, all of which are there by then. An error of an item is raised in the place of its result.
    """
    asked: queue.SimpleQueue[tuple[int, tuple[Any, Future[Any]] | None]] = queue.SimpleQueue()

    @in_own_settings
    @on_host
    def compute(number: int, item: T) -> R:
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
                return function(item, ask)
        finally:
            asked.put((number, None))

    with ThreadPoolExecutor(len(items)) as executor:
        results = [executor.submit(compute, number, item) for number, item in enumerate(items)]
        n_left = len(items)
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
