"""Batches that fill the memory of an accelerator: the number of their items."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import jax

from nvc_jax.core.devices import devices_in_use

T = TypeVar("T")
R = TypeVar("R")

BATCHES_PER_DEVICE = 2
"""Batches that a device has at a time: while one is computed, the next one is prepared and transferred."""
_SHARE = 0.8
"""Share of a device's memory that may be taken: allocators lose some of it to gaps."""
_MOST, _UNKNOWN = 64, 8
"""Largest number of items, beyond which programs gain little and results fill the host; and the number on
devices that do not state their memory."""


class StatingMemory(Protocol):
    """A device that can tell its memory, as ``jax.Device`` does."""

    def memory_stats(self) -> Mapping[str, int] | None:
        """Get numbers of bytes by name, or None if the device does not know them."""


def count_in_batch(device: StatingMemory, bytes_of_one: int) -> int:
    """Get the number of items of a device's batches, a power of two.

    Args:
        device: that computes them.
        bytes_of_one: estimated memory that an item takes.
    """
    free = _free_bytes(device)
    if free is None:
        return _UNKNOWN
    fitting = int(free / BATCHES_PER_DEVICE / bytes_of_one)
    return 1 << min(max(fitting, 1), _MOST).bit_length() - 1


def batch_size_in_use(bytes_of_one: int) -> int:
    """Get the number of items of a batch for the devices in use: 1 on CPUs, else as of ``count_in_batch``."""
    device = next((one for one in devices_in_use() if one is not None), jax.local_devices()[0])
    if isinstance(device, str):  # a platform, as JAX takes it for a default device
        device = jax.local_devices(backend=device)[0]
    return 1 if device.platform == "cpu" else count_in_batch(device, bytes_of_one)


def share_of_batch(batch_size: int, n_items: int, n_devices: int) -> int:
    """Get the number of items of a batch, at most ``batch_size``, so that each device has its share of few.

    Each gets two batches, unless these would be smaller than what a program is compiled for. One item alone
    is no batch.
    """
    if n_items == 1:
        return 1
    share = -(-n_items // (BATCHES_PER_DEVICE * n_devices))
    return min(batch_size, pad_to_batch(max(share, 1), batch_size))


def run_filled(
    function: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T], batch_size: int
) -> list[R]:
    """Run a function on items, in parts of two sizes, for which its programs are compiled.

    A part is a whole batch, or a few items. Where items are missing, the part is filled up with its first.

    Args:
        function: takes items, and returns a result for each.
        items: any number.
        batch_size: number of items of a whole batch.
    """
    few, remaining = min(_UNKNOWN, batch_size), list(items)
    results: list[R] = []
    while remaining:
        size = batch_size if 2 * len(remaining) > batch_size else few
        part, remaining = remaining[:size], remaining[size:]
        filled = part + part[:1] * (size - len(part))
        results += itertools.islice(function(filled), len(part))
    return results


def run_in_room(
    function: Callable[[Sequence[T]], R],
    items: Sequence[T],
    needed_bytes: Callable[[int], float],
    device: StatingMemory,
) -> list[R]:
    """Run a function on a batch, or on parts of it if the device has no room for all.

    Args:
        function: takes items.
        items: at least one.
        needed_bytes: tells the memory that a number of items takes, such as ``program_bytes`` of a program.
        device: that computes them.

    Returns:
        The results, of the parts in order.
    """
    n, free = len(items), _free_bytes(device)
    if n == 1 or free is None or needed_bytes(n) <= free:
        return [function(items)]
    halves = (items[: n // 2], items[n // 2 :])
    return [result for half in halves for result in run_in_room(function, half, needed_bytes, device)]


def program_bytes(analysis: Any) -> int:
    """Sum up the memory of a compiled program: ``memory_analysis`` of ``jax.stages.Compiled``; 0 for None."""
    if analysis is None:
        return 0
    parts = (analysis.argument_size_in_bytes, analysis.output_size_in_bytes, analysis.temp_size_in_bytes)
    return sum(parts)


def _free_bytes(device: StatingMemory) -> float | None:
    """Get the bytes of a device's memory that may still be taken; None if it does not state them."""
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
        return None
    return _SHARE * stats["bytes_limit"] - stats.get("bytes_in_use", 0)


def pad_to_batch(n: int, batch_size: int) -> int:
    """Get the number of items for which a program is compiled that computes n: few numbers are compiled."""
    return min(max(1 << (n - 1).bit_length(), _UNKNOWN), max(batch_size, n))
