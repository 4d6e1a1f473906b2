"""Cache of encoded slices, limited in bytes."""

import collections
import threading
from collections.abc import Callable, Hashable


class ByteCache:
    """Bytes by their keys; if they are too many, the ones unused for longest are dropped.

    Args:
        most_bytes: bytes of all values together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._n_bytes = most_bytes, 0
        self._values: collections.OrderedDict[Hashable, bytes] = collections.OrderedDict()
        self._lock = threading.Lock()

    def get_or_make(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return the value of a key, made if it is not there; several threads may make it at a time."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._n_bytes += len(value)
            while self._n_bytes > self._most_bytes:
                _, dropped = self._values.popitem(last=False)
                self._n_bytes -= len(dropped)
        return value

    @property
    def n_bytes(self) -> int:
        """Bytes that are kept."""
        return self._n_bytes
