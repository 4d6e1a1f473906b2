"""A thread that may use one core only."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def on_one_core() -> Iterator[int]:
    """Let this thread use the first of its cores alone, which is yielded."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(own)})
    try:
        yield min(own)
    finally:
        os.sched_setaffinity(0, own)
