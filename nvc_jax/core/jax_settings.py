"""JAX's settings while this package computes: its own, whatever the process has chosen.

Programs here are float32 and int32. They make NaN on purpose for values that do not count, and move arrays to
the device and back. So ``jax_enable_x64``, ``jax_debug_nans`` and ``jax_transfer_guard`` of the process must
not reach them. JAX keeps such settings for each thread: every thread that computes takes them anew.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nvc_jax.core.forks import check_fork

P = ParamSpec("P")
R = TypeVar("R")


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Compute with the package's settings in the block, in this thread; traced functions included.

    Raises:
        RuntimeError: this process was forked after its parent had used the package.
    """
    check_fork()
    with jax.enable_x64(False), jax.debug_nans(False), jax.debug_infs(False), jax.transfer_guard("allow"):
        yield


def in_own_settings(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function that computes with the package's settings."""

    @functools.wraps(function)
    def compute(*args: P.args, **kwargs: P.kwargs) -> R:
        with own_settings():
            return function(*args, **kwargs)

    return compute


def gather(array: jax.Array) -> jax.Array:
    """Replicate an array that is sharded over axes of type ``Explicit``; it may be traced.

    Operations on such axes must name the sharding of each result. Programs here are of one device.
    """
    sharding = jax.typeof(array).sharding
    is_explicit = AxisType.Explicit in sharding.mesh.axis_types
    if not is_explicit or all(axis is None for axis in sharding.spec):
        return array
    return jax.sharding.reshard(array, NamedSharding(sharding.mesh, PartitionSpec(*[None] * array.ndim)))
