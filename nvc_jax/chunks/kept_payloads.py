"""Payloads that the search for a step has made, kept for the encoding of the volume.

A chunk whose final target was tried in the search need not be encoded again.
"""

import threading

from nvc_jax.chunks.spread_steps import OwnTarget
from nvc_jax.core.chunk_grid import Region, first_voxel
from nvc_jax.core.chunk_interfaces import ChunkTarget

_MOST_BYTES = 1 << 26
"""Bytes of payloads that are kept at most: 64 MiB."""


class KeptPayloads:
    """Payloads of chunks, by region and target; several threads may keep and take them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[tuple[int, ...], OwnTarget], bytes] = {}
        self._lock = threading.Lock()

    def keep(self, region: Region, target: OwnTarget, payload: bytes) -> None:
        """Keep the payload of a chunk until the chunk is encoded by the target, if there is room."""
        with self._lock:
            if sum(map(len, self._kept.values())) + len(payload) <= _MOST_BYTES:
                self._kept[first_voxel(region), target] = payload

    def take(self, region: Region, target: OwnTarget) -> bytes | None:
        """Take the payload of a chunk out; None where none is kept."""
        return self._kept.pop((first_voxel(region), target), None)

    def drop_others(self, lesson: ChunkTarget) -> None:
        """Drop the payloads that were coded by what was learned under another target."""
        self._kept = {key: payload for key, payload in self._kept.items() if key[1].lesson == lesson}
