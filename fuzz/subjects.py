"""The form that everything to fuzz has, changes of bytes that all kinds share, and what a refusal is."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

Input = Mapping[str, bytes | None]
"""An input: the contents of files by their names, None for a file that is taken away."""
REFUSALS: tuple[type[Exception], ...] = (ValueError, FileNotFoundError)
"""Errors by which an input is refused; any other one is a fault."""


class Subject(NamedTuple):
    """One kind of input, and its reader.

    Attributes:
        make: makes an input, always the same by the same randomness.
        read: reads an input; one of ``REFUSALS`` if it is refused.
        sound: an input that must be read. It is read first, so that what it needs is compiled.
        weight: number of inputs of this kind in a round of all kinds.
    """

    make: Callable[[np.random.Generator], Input]
    read: Callable[[Input], None]
    sound: Input
    weight: int = 1


def change_bytes(data: bytes, rng: np.random.Generator, *, other: bytes = b"", first: int = 0) -> bytes:
    """Damage bytes in one to three random ways.

    Args:
        data: at least one byte.
        rng: source of randomness.
        other: bytes whose end may replace theirs.
        first: most changes are made from this position on; negative positions count from the end.
    """
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if not changed:
            break
        start = max(0, first + len(changed) if first < 0 else first)
        start = 0 if start >= len(changed) or rng.integers(8) == 0 else start
        _change_once(changed, int(rng.integers(start, len(changed))), rng, other)
    return bytes(changed)


def _change_once(data: bytearray, position: int, rng: np.random.Generator, other: bytes) -> None:
    way = rng.integers(8)
    if way == 0:  # flip a bit
        data[position] ^= 1 << int(rng.integers(8))
    elif way == 1:  # replace several bytes
        for index in rng.integers(0, len(data), rng.integers(1, 20)):
            data[index] = int(rng.integers(256))
    elif way == 2:  # cut off the end
        del data[position:]
    elif way == 3:  # leave some bytes out
        del data[position : position + int(rng.integers(1, 9))]
    elif way == 4:  # insert some bytes
        data[position:position] = rng.bytes(int(rng.integers(1, 9)))
    elif way == 5 and other:  # go on with other bytes
        data[position:] = other[position:]
    elif way == 6:  # put an extreme number into the beginning, which has the most effect
        data[position % min(100, len(data))] = int(rng.choice([0, 1, 127, 128, 255]))
    else:  # put an extreme number anywhere
        width = int(rng.choice([1, 2, 4, 8]))
        value = int(rng.choice([0, 1, 127, 255, 2**31, 2**62, -1])) & ((1 << 8 * width) - 1)
        data[position : position + width] = value.to_bytes(width, "little")
