"""Runs that end before they are complete."""

import itertools
from collections.abc import Callable
from typing import Any


class Interrupted(Exception):
    """Error of a run that was ended on purpose."""


def interrupt_after(n_calls: int) -> Callable[[Any], None]:
    """Make a progress callback that raises ``Interrupted`` when it is called for the n-th time."""
    calls = itertools.count(1)

    def on_progress(_: Any) -> None:
        if next(calls) == n_calls:
            raise Interrupted

    return on_progress
