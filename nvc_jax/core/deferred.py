"""References to objects that are not dropped by just any thread.

TensorStore drops the functions of a store in threads of its own, and holds a lock meanwhile. Where dropping
an object lets other threads run, as closing a file does, another thread may then wait for that lock and keep
Python's own lock, the GIL: both wait for ever.
"""

import atexit
import contextlib
import functools
import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_unused: SimpleQueue[Any] = SimpleQueue()
"""Objects to be dropped. Putting one in takes no lock that another thread may hold."""
_STOP = object()
"""Object that ends the thread."""


class Deferred(Generic[T]):
    """Reference to an object that the main thread drops at once, and any other leaves to a thread of ours.

    Args:
        value: the object.

    Attributes:
        value: the object.
    """

    def __init__(self, value: T) -> None:
        self.value = value
        _start_dropping(os.getpid())

    def __del__(
        self,
        drop_later: Callable[[Any], None] = _unused.put,
        main_thread: threading.Thread = threading.main_thread(),  # noqa: B008 (it is one and the same)
        current: Callable[[], int] = threading.get_ident,
    ) -> None:
        if current() != main_thread.ident:
            drop_later(self.value)


def drop_unused() -> None:
    """Drop now what other threads have lost, which the thread for it does some time later."""
    while not _unused.empty():
        with contextlib.suppress(Empty):
            if _unused.get_nowait() is _STOP:
                _unused.put(_STOP)
                return


@functools.cache
def _start_dropping(_process: int) -> None:
    """Start the thread of a process that drops objects; a forked child needs one of its own."""
    thread = threading.Thread(target=_drop_all, name="nvc_jax drops", daemon=True)
    thread.start()
    atexit.register(_stop_dropping, thread)


def _drop_all() -> None:
    while _unused.get() is not _STOP:  # the result has no name, so it is dropped at once
        pass


def _stop_dropping(thread: threading.Thread) -> None:
    """End the thread: the interpreter would stop it in the midst of its work, perhaps with a lock."""
    _unused.put(_STOP)
    thread.join()
