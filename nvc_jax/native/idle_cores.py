"""Cores that are idle, on which kernels work as well: see ``native/idle_cores.h``."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from nvc_jax.native.host_kernels import call_on_host, has_host_kernels

P = ParamSpec("P")
R = TypeVar("R")


def keeping_core(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function count its thread's core as busy until it returns.

    Args:
        function: codes a chunk. Of what it does only some is done by kernels, so these alone don't tell how
            many cores are idle.
    """

    @functools.wraps(function)
    def compute(*args: P.args, **kwargs: P.kwargs) -> R:
        if not has_host_kernels():
            return function(*args, **kwargs)
        call_on_host("nvc_begin_coding")
        try:
            return function(*args, **kwargs)
        finally:
            call_on_host("nvc_end_coding")

    return compute
