"""Runs that end before they are complete."""

import itertools
from collections.abc import Callable
from typing import Any


class Interrupted(Exception):
    """Error of a run that was ended on purpose."""


def interrupt_after(n_calls: int) -> Callable[[Any], None]:
    """Make a progress callback that raises ``Interrupted`` after the n-th chunk."""
    calls = itertools.count(1)

    def on_progress(now: Any) -> None:
        if now.done_bytes and next(calls) == n_calls:
            raise Interrupted

    return on_progress
