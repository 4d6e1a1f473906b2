import threading

import jax
import jax.numpy as jnp

from nvc_jax.cli.compilations import Compilations, watching_compilations

LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
COMPILED = "/jax/core/compile/backend_compile_duration"
LOADED = "/jax/compilation_cache/cache_hits"


def test_a_new_program_is_compiled_once() -> None:
    with watching_compilations() as compilations:
        program = jax.jit(lambda x: jnp.sort(x * 2.0 - 0.123))
        program(jnp.zeros(77)).block_until_ready()
        assert compilations.seconds_at_work() == 0
        seconds = compilations.seconds()
        program(jnp.zeros(77)).block_until_ready()
        assert compilations.seconds() == seconds


def test_programs_from_the_cache_do_not_count() -> None:
    compilations = Compilations()
    compilations.on_duration(LOWERED, 0.1)
    assert compilations.seconds_at_work() > 0
    compilations.on_event(LOADED)
    assert compilations.seconds_at_work() == 0
    compilations.on_duration(COMPILED, 0.2)
    assert compilations.seconds() == 0


def test_programs_that_are_compiled_at_a_time_count_once() -> None:
    compilations = Compilations()
    begun, may_end = threading.Barrier(3), threading.Event()

    def compile_program() -> None:
        compilations.on_duration(LOWERED, 0.0)
        begun.wait(timeout=10)
        assert may_end.wait(timeout=10)
        compilations.on_duration(COMPILED, 0.0)

    threads = [threading.Thread(target=compile_program) for _ in range(2)]
    for thread in threads:
        thread.start()
    begun.wait(timeout=10)
    oldest = compilations.seconds_at_work()
    may_end.set()
    for thread in threads:
        thread.join()
    assert oldest > 0
    assert compilations.seconds_at_work() == 0
    # Two spans, one after the other at most from the first begin to the last end.
    assert oldest <= compilations.seconds()


def test_no_listener_stays() -> None:
    with watching_compilations() as compilations:
        pass
    jax.monitoring.record_event_duration_secs(LOWERED, 0.1)
    assert compilations.seconds_at_work() == 0
