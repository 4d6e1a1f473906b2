"""Programs that are being compiled, as JAX's monitoring events tell.

JAX says when it has lowered a program, and when the compiled program is there. Between both it either
compiles the program, which takes seconds, or loads it from the cache of programs, which it says, too.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

_LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_COMPILED = "/jax/core/compile/backend_compile_duration"
_LOADED = "/jax/compilation_cache/cache_hits"


class Compilations:
    """Programs that JAX compiles, in any thread; make it by ``watching_compilations``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: dict[int, float] = {}
        self._spans: list[tuple[float, float]] = []

    def seconds_at_work(self) -> float:
        """Seconds since the oldest of the programs was begun that are not there yet; 0 if there is none."""
        with self._lock:
            return time.monotonic() - min(self._begun.values()) if self._begun else 0.0

    def seconds(self) -> float:
        """Seconds in which at least one program was compiled; those from the cache do not count."""
        with self._lock:
            spans = sorted(self._spans)
        total = end = 0.0
        for start, stop in spans:
            total += max(stop - max(start, end), 0.0)
            end = max(end, stop)
        return total

    def on_event(self, event: str, **_: Any) -> None:
        """Take an event of JAX's monitoring."""
        if event == _LOADED:
            with self._lock:
                self._begun.pop(threading.get_ident(), None)

    def on_duration(self, event: str, duration_secs: float, **_: Any) -> None:
        """Take an event of JAX's monitoring that has a duration."""
        now, thread = time.monotonic(), threading.get_ident()
        with self._lock:
            if event == _LOWERED:
                self._begun[thread] = now
            elif event == _COMPILED and thread in self._begun:
                self._spans.append((self._begun.pop(thread), now))


@contextlib.contextmanager
def watching_compilations() -> Iterator[Compilations]:
    """Note which programs JAX compiles until the block ends."""
    from jax import monitoring

    compilations = Compilations()
    monitoring.register_event_listener(compilations.on_event)
    monitoring.register_event_duration_secs_listener(compilations.on_duration)
    try:
        yield compilations
    finally:
        monitoring.unregister_event_duration_listener(compilations.on_duration)
        monitoring.unregister_event_listener(compilations.on_event)
