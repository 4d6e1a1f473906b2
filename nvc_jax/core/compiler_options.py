"""Options of XLA's compiler for programs on CPUs: made sooner, or run on one core."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")
Option = TypeVar("Option", bool, str)

_OLD_EMITTERS = {"xla_cpu_use_fusion_emitters": False}
"""On CPUs XLA turns fused operations into code by way of MLIR, which takes 1.7 times as long as the way that
it took before. By the older way sums over whole arrays are slower, and the last digits of sums of products
may differ."""
_ON_ONE_CORE = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner,dot-library-rewriter"}
"""On CPUs XLA shares large operations out to all cores, and the core that ends last goes on with the program.
Where other threads keep these cores busy, each sharing has to wait for them: decoding several chunks at a
time then takes a fifth longer."""


@functools.cache
def quick_compilation() -> dict[str, bool] | None:
    """Get options for ``jax.jit`` under which large programs compile sooner.

    Only for functions that are not called within other compiled functions: those have options of their own.

    Returns:
        The options; None where there are none for the default device, or XLA does not know them any more.
    """
    return _if_known(_OLD_EMITTERS)


@functools.cache
def on_one_core() -> dict[str, str] | None:
    """Get options for ``jax.jit`` under which a program keeps to one core of a CPU; see above.

    They are for programs that code one chunk, of which threads run several at a time.
    """
    return _if_known(_ON_ONE_CORE)


def jit_on_one_core(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function, at its first call, with the options of ``on_one_core``.

    Only for functions that are not called within other compiled functions.
    """

    @functools.cache
    def compile_once() -> Any:
        return jax.jit(function, compiler_options=on_one_core())

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        result: R = compile_once()(*args, **kwargs)
        return result

    return call


def _if_known(options: dict[str, Option]) -> dict[str, Option] | None:
    """Get options if the default device is a CPU, and XLA knows them."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options={**options})()
    except jax.errors.JaxRuntimeError:
        return None
    return options
