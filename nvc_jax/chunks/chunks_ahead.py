"""Chunks that are read and prepared before their turn, while others are encoded."""

from collections.abc import Callable
from concurrent.futures import Future

from nvc_jax.chunks.prepared_chunk import PreparedChunk
from nvc_jax.core.chunk_grid import Place, Region, first_voxel


class ChunksAhead:
    """Chunks that are prepared before their turn, and kept in memory; several threads may use it.

    Args:
        prepare: reads and prepares the chunk of a region.
    """

    def __init__(self, prepare: Callable[[Region], PreparedChunk]) -> None:
        self._prepare = prepare
        self._begun: dict[Place, Future[PreparedChunk]] = {}

    def prepare(self, region: Region) -> None:
        """Prepare a chunk now. An error is raised when its turn has come."""
        prepared: Future[PreparedChunk] = Future()
        self._begun[first_voxel(region)] = prepared
        try:
            prepared.set_result(self._prepare(region))
        except BaseException as error:
            prepared.set_exception(error)

    def take(self, region: Region) -> PreparedChunk:
        """Take a chunk out that is prepared or about to be, or else prepare it."""
        begun = self._begun.pop(first_voxel(region), None)
        return self._prepare(region) if begun is None else begun.result()
