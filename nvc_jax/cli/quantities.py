"""Quantities in words: bytes, rates, shapes and numbers as people read them."""

from collections.abc import Sequence

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_NEXT_UNIT = 1000


def format_bytes(n_bytes: float) -> str:
    """Write a number of bytes with three digits, in powers of 1000: ``41.2 kB``."""
    for unit in _UNITS[:-1]:
        if n_bytes < _NEXT_UNIT:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.3g} {unit}"
        n_bytes /= _NEXT_UNIT
    return f"{n_bytes:.4g} {_UNITS[-1]}"


def format_rate(n_bytes: float, seconds: float) -> str:
    """Write a speed in MB/s of 10⁶ bytes, and the seconds that it was measured in."""
    return f"{megabytes_per_second(n_bytes, seconds):.3g} MB/s in {seconds:.3g} s"


def megabytes_per_second(n_bytes: float, seconds: float) -> float:
    """Speed in 10⁶ bytes a second."""
    return n_bytes / 1e6 / max(seconds, 1e-9)


def format_shape(shape: Sequence[int]) -> str:
    """Write a shape as ``128×128×128``."""
    return "×".join(map(str, shape))
