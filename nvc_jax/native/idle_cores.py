"""Cores that are idle, on which kernels work as well: see ``native/idle_cores.h``."""

import contextvars
import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from nvc_jax.core.devices import on_this_device
from nvc_jax.core.executors import borrow_executor
from nvc_jax.native.dispatch import runs_kernels
from nvc_jax.native.host_kernels import call_on_host, has_host_kernels

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


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


def map_on_idle_cores(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Map a few items, all at the same time where there are idle cores for that, else one after the other.

    Args:
        function: does a part of the work on a chunk, on CPUs; several threads may call it at a time.
        items: the parts.
    """
    n_others = len(items) - 1
    if n_others < 1 or not runs_kernels() or _count_idle_cores() < n_others:
        return [function(item) for item in items]
    first, *others = items
    work = keeping_core(on_this_device(function))
    with borrow_executor(n_others) as executor:
        begun = [executor.submit(contextvars.copy_context().run, work, item) for item in others]
        return [function(first), *(one.result() for one in begun)]


def _count_idle_cores() -> int:
    """Count the cores that this thread may use and that no thread uses, but for this one."""
    return int(call_on_host("nvc_count_idle_cores", result=ctypes.c_int64))
