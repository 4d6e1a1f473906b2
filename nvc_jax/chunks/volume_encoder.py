"""A volume's chunks encoded by a ``PayloadCodec``, each by itself, on accelerators several together."""

import functools
from collections.abc import Iterable, Sequence

import tensorstore as ts

from nvc_jax.chunks.target_search import check_relative, find_target_of_bound, find_target_of_psnr
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.chunks.volume_chunks import VolumeChunks
from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.chunk_interfaces import ChunkEncoder, ChunkTarget, QualityTarget, ValueRange
from nvc_jax.core.shapes import Shape, Shape3


class VolumeEncoder(ChunkEncoder):
    """Encodes the chunks of a volume whose payloads decode alone.

    Args:
        coder: transform coder of a model.
        volume: of a supported dtype, read chunk by chunk when it is needed.
        chunk: voxels of a whole chunk along each axis of the volume.
        value_range: of the volume.
        padded_shape: (z, y, x) for which the coder codes chunks; the spatial shape of a whole chunk if None.
        batch_size: largest number of chunks that are encoded together; as many as the devices in use take if
            None.
    """

    def __init__(
        self,
        coder: TransformCoder,
        volume: ts.TensorStore,
        chunk: Shape,
        value_range: ValueRange,
        padded_shape: Shape3 | None = None,
        batch_size: int | None = None,
    ) -> None:
        self._chunks = VolumeChunks(coder, volume, chunk, value_range, padded_shape, batch_size)

    def resolve(self, target: QualityTarget, sample: Sequence[Region] | None = None) -> ChunkTarget:
        """Turn a quality target into bound and step, in the volume's units; see ``ChunkEncoder``.

        Raises:
            ValueError: the target is relative to a range that float64 cannot hold.
        """
        ((name, value),) = target.items()
        chunks, width = self._chunks, self._chunks.value_range.width
        if sample is not None:
            chunks.learn_from(sample)
        find_best = functools.partial(find_target_of_bound, chunks, regions=sample or chunks.regions)
        if name == "pointwise_error":
            return find_best(lambda ratio: ChunkTarget(None, ratio, value))
        if name not in ("max_error", "lossless"):
            check_relative(name, value, chunks)
        if name == "psnr":
            return find_target_of_psnr(chunks, value, None if sample is None else [*sample])
        if name == "step":
            return ChunkTarget(None, value * width)
        bound = 0.0 if name == "lossless" else value * (width if name == "relative_error" else 1.0)
        if bound == 0:
            return ChunkTarget(bound, None)
        return find_best(lambda ratio: ChunkTarget(bound, ratio * bound))

    def encode(self, region: Region, target: ChunkTarget) -> bytes:
        """Encode the chunk that lies at ``region`` in the volume."""
        return self._chunks.encode(region, self._chunks.codec, target)

    def learn(self, target: ChunkTarget, sample: Sequence[Region] | None = None) -> None:
        """Encode some chunks, unless that has been done, so that others are tried in fewer ways."""
        if sample is not None:
            self._chunks.learn_from(sample)
        self._chunks.learn(target)

    @property
    def batch_size(self) -> int:
        """Largest number of chunks that a device encodes together: 1 on CPUs, else as many as fit into it."""
        return self._chunks.batches.batch_size

    def encode_together(self, regions: Sequence[Region], target: ChunkTarget) -> Iterable[bytes]:
        """Encode at most ``batch_size`` chunks together; see ``ChunkEncoder``."""
        encode = functools.partial(self._chunks.encode, target=target)
        return self._chunks.batches.map_together(encode, regions)
