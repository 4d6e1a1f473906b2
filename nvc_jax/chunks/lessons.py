"""Experience with a volume under each target, learned from a few of its chunks.

These chunks are coded first, by themselves. So the bytes of every chunk depend on the volume and the target
only, whoever writes it and in whatever order.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from nvc_jax.chunks.experience import NO_EXPERIENCE, Experience
from nvc_jax.chunks.spread_steps import OwnTarget
from nvc_jax.core.chunk_grid import Region, first_voxel
from nvc_jax.core.chunk_interfaces import ChunkTarget

_LEAST_CHUNKS = 4
"""Chunks of a volume from which on it is learned from some of them."""


class Lessons:
    """Chunks that are learned from, and the experience with them; several threads may use it.

    Args:
        n_chunks: number of chunks of the volume.
        pilots: regions of the chunks that are learned from.
    """

    def __init__(self, n_chunks: int, pilots: Sequence[Region]) -> None:
        self._pilots = {first_voxel(one): one for one in (pilots if n_chunks >= _LEAST_CHUNKS else ())}
        self._learned: dict[ChunkTarget, dict[tuple[int, ...], Experience]] = {}
        self._lock = threading.Lock()

    def is_pilot(self, region: Region) -> bool:
        """Tell whether a chunk is one that is learned from."""
        return first_voxel(region) in self._pilots

    def learn(self, target: ChunkTarget, encode: Callable[[list[Region]], None]) -> None:
        """See to it that there is experience under a target.

        Args:
            target: of all chunks.
            encode: encodes chunks with what ``on`` returns; called at most once at
                a time, and for each target at most once.
        """
        if target.max_error == 0 or target.pointwise_error is not None:
            return
        with self._lock:
            learned = self._learned.get(target, {})
            missing = [region for key, region in self._pilots.items() if key not in learned]
            if missing:
                encode(missing)

    @contextlib.contextmanager
    def on(self, region: Region, targets: OwnTarget) -> Iterator[Experience]:
        """Get the experience to encode a chunk with; with a pilot, add to it what is learned."""
        yield (experience := self._experience(region, targets.lesson))
        # A pilot whose own step is another one than the lesson's is none here.
        if self.is_pilot(region) and targets.own == targets.lesson:
            self._learned.setdefault(targets.lesson, {})[first_voxel(region)] = experience

    def _experience(self, region: Region, lesson: ChunkTarget) -> Experience:
        """Get the experience to encode a chunk with: of a pilot, an empty one that learns."""
        if self.is_pilot(region):
            return Experience(learns=True)
        learned = self._learned.get(lesson)
        if not learned:
            return NO_EXPERIENCE
        return Experience(
            [one for experience in learned.values() for one in experience.seen],
            compared=[one for experience in learned.values() for one in experience.compared],
        )
