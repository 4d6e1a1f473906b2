"""Batches that fill the memory of an accelerator: the number of their items."""

from collections.abc import Mapping
from typing import Protocol

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


def has_room(device: StatingMemory, n_bytes: int) -> bool:
    """Tell whether a device has room for so many bytes more; true if it does not state its memory."""
    free = _free_bytes(device)
    return free is None or n_bytes <= free


def _free_bytes(device: StatingMemory) -> float | None:
    """Get the bytes of a device's memory that may still be taken; None if it does not state them."""
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
        return None
    return _SHARE * stats["bytes_limit"] - stats.get("bytes_in_use", 0)


def pad_to_batch(n: int, batch_size: int) -> int:
    """Get the number of items for which a program is compiled that computes n: few numbers are compiled."""
    return min(max(1 << (n - 1).bit_length(), _UNKNOWN), max(batch_size, n))
