"""The interface of chunk codecs: one chunk of a volume to one payload of bytes and back.

``compression`` writes containers through a ``ChunkEncoder`` and ``container`` reads them through a
``ChunkDecoder``; neither knows what kind of model is behind it.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.shapes import Shape3

QualityTarget = Mapping[str, float | bool]
"""What the user asks for, one entry: ``max_error``, ``relative_error``, ``psnr``, ``step``, ``lossless``, or
``latents`` (what a block autoencoder leaves when nothing is quantised)."""


@dataclasses.dataclass(frozen=True)
class ValueRange:
    """Range of a volume's valid values, and its missing values.

    Attributes:
        low, high: smallest and largest valid value; (0, 0) where there is none.
        missing_values: values that stand for no measurement; they come back exactly.
    """

    low: float
    high: float
    missing_values: tuple[float, ...] = ()

    @property
    def width(self) -> float:
        """Difference of the largest and the smallest valid value."""
        return self.high - self.low


@dataclasses.dataclass(frozen=True)
class ChunkTarget:
    """Target of every chunk: the bound and the step that its payload must keep to.

    Attributes:
        max_error: largest error allowed, in the volume's units; 0 for lossless, None for no bound.
        step: of the quantiser; under a bound, the step that the encoder tries. In the volume's units, or for
            block autoencoders in the unit of their latents. None where nothing is quantised.
    """

    max_error: float | None
    step: float | None


@dataclasses.dataclass(frozen=True)
class ChunkFormat:
    """Properties that all chunks of a container have in common.

    Attributes:
        chunk: (z, y, x) voxels of a whole chunk.
        dtype: of the volume.
        value_range: of the volume.
        step: of the quantiser, as the container states it.
    """

    chunk: Shape3
    dtype: np.dtype
    value_range: ValueRange
    step: float | None


class ChunkEncoder(abc.ABC):
    """Encodes the chunks of one volume."""

    @abc.abstractmethod
    def resolve(self, target: QualityTarget) -> ChunkTarget:
        """Turn what the user asked for into what every chunk keeps to; may encode chunks to find it.

        Raises:
            ValueError: the target cannot be met on this volume.
        """

    @abc.abstractmethod
    def encode(self, region: Region, target: ChunkTarget) -> bytes:
        """Encode the chunk that lies at ``region`` in the volume."""


class ChunkDecoder(abc.ABC):
    """Decodes the payloads of one container.

    Attributes:
        halo: blocks around a chunk that its decoding takes; 0 for chunks that decode alone.
        block_size: side of those blocks in voxels, for decoders with a halo.
    """

    halo: int = 0
    block_size: int = 1

    @abc.abstractmethod
    def decode(self, payload: bytes) -> np.ndarray:
        """Decode the voxels of a chunk that lie in the volume, without the chunks around it.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """

    @abc.abstractmethod
    def decode_many(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        """Decode several chunks, on an accelerator in few calls; errors as of ``decode``."""

    @abc.abstractmethod
    def decode_preview(self, payload: bytes) -> np.ndarray:
        """Decode about the means of a chunk's blocks of 8³ voxels; errors as of ``decode``."""

    def decode_blocks(self, payload: bytes) -> tuple[Shape3, np.ndarray]:
        """Read what the chunks around need of a chunk, for decoders with a halo; errors as of ``decode``.

        Returns:
            The chunk's voxels that lie in the volume, (z, y, x), and its blocks, (z, y, x, …).
        """
        raise NotImplementedError(f"{type(self).__name__} decodes chunks alone")

    def decode_in_halo(
        self, payload: bytes, blocks: np.ndarray, region: Region, *, preview: bool
    ) -> np.ndarray:
        """Decode a chunk given the blocks around it, for decoders with a halo; errors as of ``decode``.

        Args:
            payload: of the chunk.
            blocks: (z, y, x, …), the chunk's blocks and those around it.
            region: the chunk's own blocks in ``blocks``.
            preview: whether to return means of 8³ voxels as ``decode_preview`` does.
        """
        raise NotImplementedError(f"{type(self).__name__} decodes chunks alone")
