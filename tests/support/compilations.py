"""Programs that JAX compiles."""

from collections.abc import Callable

import jax

_EVENT = "/jax/core/compile/backend_compile_duration"


def compilations(work: Callable[[], object]) -> list[str]:
    """List the programs that are compiled, or found on disk, while ``work`` runs."""
    names: list[str] = []

    def listen(event: str, _: float, **details: object) -> None:
        if event == _EVENT:
            names.append(str(details.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        work()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return names
