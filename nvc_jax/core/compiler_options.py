"""Options of XLA's compiler that make large programs sooner, if less fast."""

import functools

import jax

_OLD_EMITTERS = {"xla_cpu_use_fusion_emitters": False}
"""On CPUs XLA turns fused operations into code by way of MLIR, which takes 1.7 times as long as the way that
it took before. By the older way sums over whole arrays are slower, and the last digits of sums of products
may differ."""


@functools.cache
def quick_compilation() -> dict[str, bool] | None:
    """Get options for ``jax.jit`` under which large programs compile sooner.

    Only for functions that are not called within other compiled functions: those have options of their own.

    Returns:
        The options; None where there are none for the default device, or XLA does not know them any more.
    """
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options=_OLD_EMITTERS)()
    except jax.errors.JaxRuntimeError:
        return None
    return _OLD_EMITTERS
