"""The codec ``nvc`` for zarr-python 3 (extra ``zarr``), found through the entry point ``zarr.codecs``.

With it zarr-python, and so xarray and dask, read containers like any other Zarr array. zarr-python tells a
codec that decodes parts of chunks where it gets their bytes from. So the codec declares that it does, and
checks the place of each chunk; within shards zarr-python does not tell it.
"""

import asyncio
import dataclasses
import functools
import json
import re
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin
from zarr.abc.store import ByteGetter
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer

from nvc_jax.container.chunk_checksum import unseal_chunk
from nvc_jax.container.configuration import FormatError, check_version
from nvc_jax.container.metadata import CODEC_NAME, ContainerMetadata
from nvc_jax.container.model import make_decoder
from nvc_jax.core.chunk_grid import ChunkIndex
from nvc_jax.core.chunk_interfaces import ChunkDecoder
from nvc_jax.core.jax_settings import in_own_settings

_CACHED_DECODERS = 16
"""Arrays whose decoders, and so whose models, are kept."""
StoredChunk = tuple[Buffer | None, ChunkIndex | None, ArraySpec]
"""Bytes of a chunk, or None if it is missing; its index, or None if it is not known; its shape and dtype."""


@dataclasses.dataclass(frozen=True)
class NvcCodec(ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin):
    """Decoder of chunks that ``nvc_jax.compress`` wrote; the margins of the paper's models are cropped.

    Attributes:
        configuration: JSON of the codec's configuration in the array's metadata.
    """

    is_fixed_size = False
    configuration: str

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read the codec from an array's metadata.

        Raises:
            FormatError: it is of another version.
        """
        check_version(data["configuration"])
        return cls(json.dumps(data["configuration"]))

    def to_dict(self) -> dict[str, Any]:
        """Describe the codec for an array's metadata."""
        return {"name": CODEC_NAME, "configuration": json.loads(self.configuration)}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError("chunks of `nvc` have no fixed size")

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Check the metadata of an array without shards; those of others are checked with their first chunk.

        Raises:
            FormatError: they are not those that were written.
        """
        metadata = _metadata(self.configuration, chunk_grid.chunk_shape, dtype.to_native_dtype().name)
        if metadata.shape != shape:
            raise FormatError(f"`shape` (={shape}) must be that of the volume, {metadata.shape}")

    async def decode(
        self, chunks_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]
    ) -> Iterable[NDBuffer | None]:
        """Decode a batch of chunks, as many as zarr's ``codec_pipeline.batch_size``, in few device calls."""
        chunks = list(chunks_and_specs)
        batch: list[StoredChunk] = [(chunk, None, spec) for chunk, spec in chunks if chunk is not None]
        decoded = iter(await asyncio.to_thread(self._decode_batch, batch) if batch else [])
        return [None if chunk is None else next(decoded) for chunk, _ in chunks]

    async def decode_partial(
        self, batch_info: Iterable[tuple[ByteGetter, Any, ArraySpec]]
    ) -> Iterable[NDBuffer | None]:
        """Read and decode a batch of chunks, check that each is in its place, and return parts of them."""
        info = list(batch_info)
        chunks = await asyncio.gather(*(getter.get(prototype=spec.prototype) for getter, _, spec in info))
        batch = [(chunk, _index(getter), spec) for chunk, (getter, _, spec) in zip(chunks, info, strict=True)]
        decoded = await asyncio.to_thread(self._decode_batch, batch) if batch else []
        return [values[selection] for values, (_, selection, _) in zip(decoded, info, strict=True)]

    @in_own_settings
    def _decode_batch(self, batch: list[StoredChunk]) -> list[NDBuffer]:
        spec = batch[0][2]
        metadata, decoder = _decoder(self.configuration, spec.shape, spec.dtype.to_native_dtype().name)
        payloads = [_unseal(chunk, index, metadata) for chunk, index, _ in batch]
        buffers = []
        for values, (_, _, spec) in zip(decoder.decode_many(payloads), batch, strict=True):
            # Zarr wants whole chunks at the far boundaries, too; it never looks at the padding.
            whole = metadata.spatial_chunk
            padding = [(0, n - side) for n, side in zip(whole, values.shape, strict=True)]
            padded = np.pad(values, padding).reshape(spec.shape)
            buffers.append(spec.prototype.nd_buffer.from_numpy_array(padded))
        return buffers

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError(
            "chunks of `nvc` are written by `nvc_jax.compress`, not through zarr-python"
        )


def _index(getter: ByteGetter) -> ChunkIndex | None:
    """Index of the chunk that a getter reads; None within shards, whose own place is not known."""
    match = re.search(r"(?:^|/)c((?:/\d+)+)$", str(getattr(getter, "path", "")))
    return None if match is None else tuple(map(int, match[1][1:].split("/")))


def _unseal(chunk: Buffer | None, index: ChunkIndex | None, metadata: ContainerMetadata) -> bytes:
    """Check a chunk, and take its payload."""
    place = "a chunk" if index is None else f"chunk {index}"
    if chunk is None:
        raise FormatError(f"{place} is missing")
    try:
        return unseal_chunk(chunk.to_bytes(), metadata.identity, index, metadata.chunk_grid)
    except ValueError as error:
        raise FormatError(f"{place} is damaged: {error}") from error


def _metadata(configuration: str, chunk: tuple[int, ...], dtype: str) -> ContainerMetadata:
    """Read and check what an array's metadata tell a codec: not its attributes, and not its shards."""
    return ContainerMetadata.from_configuration(json.loads(configuration), list(chunk), dtype)


@functools.lru_cache(maxsize=_CACHED_DECODERS)
def _decoder(
    configuration: str, chunk: tuple[int, ...], dtype: str
) -> tuple[ContainerMetadata, ChunkDecoder]:
    """Make the decoder of an array's chunks."""
    metadata = _metadata(configuration, chunk, dtype)
    return metadata, make_decoder(metadata, "crop")
