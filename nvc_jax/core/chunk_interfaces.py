"""The interface of chunk codecs: one chunk of a volume to one payload of bytes and back.

``compression`` writes containers through a ``ChunkEncoder`` and ``container`` reads them through a
``ChunkDecoder``; neither knows what kind of model is behind it.
"""

import abc
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.concurrency import map_batches_on_devices
from nvc_jax.core.shapes import Shape3

QualityTarget = Mapping[str, float | bool]
"""Quality target as the user names it, one entry: ``max_error``, ``relative_error``, ``pointwise_error``,
``psnr``, ``step`` or ``lossless``; or a model's own default where the user names none."""


Limits = tuple[float, float]
"""Smallest and largest value; infinite where there is no limit."""
NO_LIMITS: Limits = (-math.inf, math.inf)


@dataclasses.dataclass(frozen=True)
class ValueRange:
    """Range of a volume's valid values, and the rules that its values follow.

    Attributes:
        low, high: smallest and largest valid value; (0, 0) where there is none.
        missing_values: values that stand for no measurement; they come back exactly.
        valid_limits: values beyond them stand for no measurement, too.
        value_limits: limits that the user sets to decoded values; all valid values lie within.
        exact_values: valid values that come back exactly.
    """

    low: float
    high: float
    missing_values: tuple[float, ...] = ()
    valid_limits: Limits = NO_LIMITS
    value_limits: Limits = NO_LIMITS
    exact_values: tuple[float, ...] = ()

    @property
    def is_strict(self) -> bool:
        """True if decoders keep values within the range, and apart from missing values."""
        limits = (self.valid_limits, self.value_limits)
        return bool(self.missing_values) or limits != (NO_LIMITS, NO_LIMITS)

    @property
    def width(self) -> float:
        """Difference of the largest and the smallest valid value."""
        return self.high - self.low


@dataclasses.dataclass(frozen=True)
class ChunkTarget:
    """Target of every chunk: the bound and the step that its payload must keep to.

    Attributes:
        max_error: largest error allowed, in the volume's units; 0 for lossless, None for no such bound.
        step: of the quantiser, in the unit that the model defines; under a bound, the step that the encoder
            tries, which is in units of the bound if that is pointwise. None where nothing is quantised.
        pointwise_error: largest error allowed as a share of each value's magnitude, above 0 and below 1; None
            for no such bound.
        is_spread: whether encoders may give chunks other steps close to ``step``, as for a PSNR.
    """

    max_error: float | None
    step: float | None
    pointwise_error: float | None = None
    is_spread: bool = False

    @property
    def is_bounded(self) -> bool:
        """True if every error is bounded, absolutely or pointwise."""
        return self.max_error is not None or self.pointwise_error is not None


@dataclasses.dataclass(frozen=True)
class ChunkFormat:
    """Properties that all chunks of a container have in common.

    Attributes:
        chunk: (z, y, x) voxels of a whole chunk, its spatial shape: multiples of the block size, or 1.
        dtype: of the volume.
        value_range: of the volume.
        step: of the quantiser, as the container states it.
        n_steps: number of steps that a whole chunk holds; 1 for chunks without a step axis.
    """

    chunk: Shape3
    dtype: np.dtype
    value_range: ValueRange
    step: float | None
    n_steps: int = 1


class ChunkEncoder(abc.ABC):
    """Encodes the chunks of one volume."""

    @abc.abstractmethod
    def resolve(self, target: QualityTarget, sample: Sequence[Region] | None = None) -> ChunkTarget:
        """Turn the user's quality target into the target of every chunk; may encode chunks to find it.

        Args:
            target: as the user names it.
            sample: regions of the chunks by which it is found; None for as many as it takes, for some
                targets all.

        Raises:
            ValueError: the target cannot be met on this volume.
        """

    def learn(self, target: ChunkTarget, sample: Sequence[Region] | None = None) -> None:  # noqa: B027
        """Find out what makes it faster to encode chunks; for encoders that have such means.

        The payloads of chunks may depend on it: encoders of one volume learn from the same sample.

        Args:
            target: of every chunk.
            sample: regions of the chunks that may be encoded for it; None for all.
        """

    @abc.abstractmethod
    def encode(self, region: Region, target: ChunkTarget) -> bytes:
        """Encode the chunk that lies at ``region`` in the volume."""

    @property
    def batch_size(self) -> int:
        """Largest number of chunks that a device encodes together; 1 where that is no faster."""
        return 1

    def encode_together(self, regions: Sequence[Region], target: ChunkTarget) -> Iterable[bytes]:
        """Encode at most ``batch_size`` chunks on the device of this thread.

        Returns:
            The payloads, all of which are there by then. The error of a chunk is raised in the place of its
            payload.
        """
        return [self.encode(region, target) for region in regions]


class ChunkDecoder(abc.ABC):
    """Decodes the payloads of one container, each without the chunks around it."""

    @abc.abstractmethod
    def decode(self, payload: bytes) -> np.ndarray:
        """Decode the voxels of a chunk that lie in the volume.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """

    @property
    def batch_size(self) -> int:
        """Largest number of chunks that a device decodes together; 1 where that is no faster."""
        return 1

    def decode_together(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        """Decode at most ``batch_size`` chunks on the device of this thread; errors as of ``decode``."""
        return [self.decode(payload) for payload in payloads]

    def decode_many(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        """Decode several chunks, on all devices in use; errors as of ``decode``."""
        mapped = map_batches_on_devices(self.decode_together, payloads, self.batch_size, len(payloads))
        return list(mapped)

    @abc.abstractmethod
    def decode_preview(self, payload: bytes) -> np.ndarray:
        """Decode the approximate means of a chunk's blocks of 8³ voxels; errors as of ``decode``."""


class HaloChunkDecoder(ChunkDecoder):
    """Decodes a chunk with the blocks of the chunks around it, where those change its voxels.

    Attributes:
        halo: blocks around a chunk that its decoding takes; 0 if chunks decode alone.
        block_size: side of the blocks in voxels.
    """

    halo: int
    block_size: int

    @abc.abstractmethod
    def read_blocks(self, payload: bytes) -> tuple[Shape3, np.ndarray]:
        """Read the blocks of a chunk, which the chunks around it need; errors as of ``decode``.

        Returns:
            The chunk's voxels that lie in the volume, (z, y, x), and its blocks, (z, y, x, …).
        """

    @abc.abstractmethod
    def decode_in_halo(
        self, payload: bytes, blocks: np.ndarray, region: Region, *, preview: bool
    ) -> np.ndarray:
        """Decode a chunk given the blocks around it; errors as of ``decode``.

        Args:
            payload: of the chunk.
            blocks: (z, y, x, …), the chunk's blocks and those around it.
            region: the chunk's own blocks in ``blocks``.
            preview: whether to return means of 8³ voxels as ``decode_preview`` does.
        """
