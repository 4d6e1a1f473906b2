"""The devices of this process, among which chunks that are coded at the same time are shared out.

A chunk is coded on one device by the same programs as on any other, so that its bytes do not depend on the
number of devices.
"""

import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

import jax
import numpy as np

from nvc_jax.core.identity import ById

P = ParamSpec("P")
R = TypeVar("R")
Tree = TypeVar("Tree")

_chosen: contextvars.ContextVar[tuple[Any, ...] | None] = contextvars.ContextVar("devices", default=None)


@contextlib.contextmanager
def sharing_out(devices: Sequence[jax.Device]) -> Iterator[None]:
    """Let the work that is begun in the block be shared out among these devices."""
    token = _chosen.set(tuple(devices))
    try:
        yield
    finally:
        _chosen.reset(token)


def devices_in_use() -> tuple[Any, ...]:
    """Get the devices that code chunks, in this thread.

    Returns:
        Those of ``sharing_out``, or else the default device if the user has chosen one
        (``jax.default_device``), or else all accelerators of this process. None stands for the device that
        JAX takes by itself: it is the only entry on CPUs, whose devices in one process share the same cores,
        so that more of them would only compile more programs.
    """
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    default = _default_device()
    if default is not None or jax.default_backend() == "cpu":
        return (default,)
    local = jax.local_devices()
    return (None,) if len(local) == 1 else tuple(local)


def platform_here() -> str:
    """Get the platform on which this thread computes: ``"cpu"``, or an accelerator's."""
    device = _default_device()
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else str(device.platform)


def on_host(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function that computes on the host's processor, in any thread.

    If JAX was told to leave that alone (``JAX_PLATFORMS``), it is the default device of this thread.
    """
    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        device = _default_device()
    return _on_device(device, function)


def on_this_device(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function that computes, in any thread, on the default device of this one."""
    return _on_device(_default_device(), function)


def _on_device(device: Any, function: Callable[P, R]) -> Callable[P, R]:
    """Make a function that computes on a device; None for the default device of its thread."""

    @functools.wraps(function)
    def compute(*args: P.args, **kwargs: P.kwargs) -> R:
        with _computing_on(device):
            return function(*args, **kwargs)

    return compute


def _default_device() -> Any:
    """Get the default device of this thread; None where none is chosen."""
    config: Any = jax.config
    return config.jax_default_device


def _computing_on(device: Any) -> contextlib.AbstractContextManager[object]:
    """Choose the default device of a block in this thread; None leaves it as it is."""
    return contextlib.nullcontext() if device is None else jax.default_device(device)


class DeviceRota:
    """Gives every piece of work the device that has the fewest of them.

    Until the first piece is done, all are given the first device: it compiles the programs, which JAX's cache
    then has for the other devices.

    Args:
        devices: from ``devices_in_use``; their number is kept as ``n_devices``.
    """

    def __init__(self, devices: Sequence[Any]) -> None:
        self._devices = tuple(devices)
        self.n_devices = len(self._devices)
        self._loads = [0] * len(devices)
        self._is_begun = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Compute on the device whose turn it is, in this thread, until the block ends."""
        with self._lock:
            candidates = self._loads if self._is_begun else self._loads[:1]
            number = candidates.index(min(candidates))
            self._loads[number] += 1
        device = self._devices[number]
        try:
            with _computing_on(device):
                yield
        finally:
            with self._lock:
                self._loads[number] -= 1
                self._is_begun = True


class DeviceCopies(Generic[Tree]):
    """A tree of arrays with a copy on every device that asks for one.

    Args:
        tree: of arrays, such as the parameters of a model; see ``copies_of``.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._copies: dict[Any, Tree] = {}

    def here(self) -> Tree:
        """Get the copy on the device on which this thread computes, which is moved there once."""
        device = _default_device()
        if device not in self._copies:  # two threads may both move it: one copy stays
            self._copies[device] = jax.device_put(self._tree)
        return self._copies[device]


def copies_of(tree: Tree) -> DeviceCopies[Tree]:
    """Get the copies of a tree: the same ones for the same arrays, if nobody can change these."""
    leaves, structure = jax.tree.flatten(tree)
    if not all(map(_is_constant, leaves)):
        return DeviceCopies(tree)
    return _shared_copies(structure, *map(ById, leaves))


@functools.lru_cache(maxsize=4)
def _shared_copies(structure: Any, *leaves: ById[Any]) -> DeviceCopies[Any]:
    return DeviceCopies(jax.tree.unflatten(structure, [leaf.value for leaf in leaves]))


def _is_constant(leaf: Any) -> bool:
    """Tell whether nobody can change an array."""
    if isinstance(leaf, np.ndarray):
        return not leaf.flags.writeable
    return isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer)
