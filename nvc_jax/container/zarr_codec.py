"""The codec ``nvc`` for zarr-python 3 (extra ``zarr``), found through the entry point ``zarr.codecs``.

With it zarr-python, and so xarray and dask, read containers like any other Zarr array. zarr-python tells a
codec that decodes or encodes parts of chunks where their bytes are. So the codec declares that it does, and
knows the place of each chunk, which it checks and writes. Within shards, or with another codec behind it,
zarr-python does not tell it. ``zarr_writer`` encodes what is written.
"""

import asyncio
import dataclasses
import functools
import json
import re
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from zarr.abc.codec import (
    ArrayBytesCodec,
    ArrayBytesCodecPartialDecodeMixin,
    ArrayBytesCodecPartialEncodeMixin,
)
from zarr.abc.store import ByteGetter, ByteSetter
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.storage import StorePath

from nvc_jax.container.chunk_checksum import unseal_chunk
from nvc_jax.container.configuration import FormatError, check_version
from nvc_jax.container.metadata import CODEC_NAME, METADATA_KEY, ContainerMetadata
from nvc_jax.container.model import make_decoder
from nvc_jax.container.zarr_writer import (
    check_declared,
    complete_configuration,
    is_begun,
    with_fill_value,
    writer_of,
)
from nvc_jax.core.chunk_grid import ChunkIndex, chunk_valid_shape
from nvc_jax.core.chunk_interfaces import ChunkDecoder
from nvc_jax.core.devices import devices_in_use
from nvc_jax.core.jax_settings import in_own_settings
from nvc_jax.core.joined_calls import JoinedCalls
from nvc_jax.core.json_documents import read_json
from nvc_jax.core.spatial_axes import coded_shape

_PLACE = re.compile(r"(?:^|/)c((?:/\d+)+)$")
"""End of a chunk's key: its index."""
_USE = (
    "pass `serializer=nvc_jax.zarr_codec(…)` with `compressors=None`, and neither `filters` nor `shards`; "
    "`nvc_jax.compress(…, shards=…)` writes shards"
)
_CACHED_DECODERS = 16
"""Arrays whose decoders, and so whose models, are kept."""
StoredChunk = tuple[Buffer | None, ChunkIndex | None, ArraySpec]
"""Bytes of a chunk, or None if it is missing; its index, or None if it is not known; its shape and dtype."""


@dataclasses.dataclass(frozen=True)
class NvcCodec(ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin, ArrayBytesCodecPartialEncodeMixin):
    """Decoder and encoder of the chunks of a container; the margins of the paper's models are cropped.

    Only containers of arrays that ``zarr_codec`` began are written; those of ``compress`` are complete.

    Attributes:
        configuration: JSON of the codec's configuration in the array's metadata; until it belongs to an
            array, of the options of ``zarr_codec``.
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
        """Describe the codec for an array's metadata.

        Raises:
            ValueError: it belongs to no array, or to shards.
        """
        if is_begun(self.configuration):
            raise ValueError(f"the codec belongs to no array yet: {_USE}")
        return {"name": CODEC_NAME, "configuration": json.loads(self.configuration)}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError("chunks of `nvc` have no fixed size")

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """Make the codec of an array; ``validate`` completes it."""
        if not is_begun(self.configuration):
            return self
        return type(self)(with_fill_value(self.configuration, array_spec.fill_value))

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Check the metadata of an array without shards, or state those of a new one.

        Those of an array with shards are checked with its first chunk.

        Raises:
            FormatError: they are not those that were written.
            TypeError, ValueError: a new container cannot have such metadata.
        """
        if is_begun(self.configuration):
            chunk, native = chunk_grid.chunk_shape, dtype.to_native_dtype()
            configuration = complete_configuration(self.configuration, shape, chunk, native)
            # zarr-python tells the chunks to this method alone, of the codec that it keeps.
            object.__setattr__(self, "configuration", configuration)
            return
        metadata = _metadata(self.configuration, chunk_grid.chunk_shape, dtype.to_native_dtype().name)
        if metadata.shape != shape:
            raise FormatError(
                f"`shape` (={shape}) must be that of the volume, {metadata.shape}: a container is not "
                "resized or appended to; write another one"
            )

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
        if len(payloads) == 1 and decoder.batch_size > 1:
            decoded = [_joined_decoder(decoder, devices_in_use())(payloads[0])]
        else:
            decoded = decoder.decode_many(payloads)
        for values, (_, _, spec) in zip(decoded, batch, strict=True):
            # Zarr wants whole chunks at the far boundaries, too; it never looks at the padding.
            whole = coded_shape(metadata.chunk, metadata.chunk)
            padding = [(0, n - side) for n, side in zip(whole, values.shape, strict=True)]
            padded = np.pad(values, padding).reshape(spec.shape)
            buffers.append(spec.prototype.nd_buffer.from_numpy_array(padded))
        return buffers

    async def _encode_partial_single(
        self, byte_setter: ByteSetter, chunk_array: NDBuffer, selection: Any, chunk_spec: ArraySpec
    ) -> None:
        """Encode and store a chunk; of a lossless one, a part as well."""
        index, dtype = _index(byte_setter), chunk_spec.dtype.to_native_dtype().name
        if index is None or is_begun(self.configuration):
            raise NotImplementedError(f"chunks in shards are not written through zarr-python: {_USE}")
        metadata, _ = _decoder(self.configuration, chunk_spec.shape, dtype)
        await _check_attributes(byte_setter, metadata)
        valid = chunk_valid_shape(index, metadata.chunk, metadata.shape)
        values = np.full(chunk_spec.shape, chunk_spec.fill_value, dtype)
        if not _is_whole(selection, valid):
            if metadata.max_error != 0:
                raise ValueError(
                    f"chunk {index} of {valid} voxels was to be written in part, {selection}: its other "
                    "voxels would be compressed again, and might break the bound. Write whole chunks "
                    "(regions that begin and end at multiples of `chunks`), or make the array by "
                    "`nvc_jax.zarr_codec(lossless=True)`"
                )
            stored = await byte_setter.get(prototype=chunk_spec.prototype)
            if stored is not None:
                batch: list[StoredChunk] = [(stored, index, chunk_spec)]
                (before,) = await asyncio.to_thread(self._decode_batch, batch)
                values = before.as_numpy_array().copy()
        values[selection] = chunk_array.as_numpy_array()
        writer = writer_of(self.configuration, chunk_spec.shape, dtype)
        encoded = await asyncio.to_thread(writer.encode, values, index)
        await byte_setter.set(chunk_spec.prototype.buffer.from_bytes(encoded))

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError(f"`nvc` must be the only codec of an array that zarr-python writes: {_USE}")


async def _check_attributes(setter: ByteSetter, metadata: ContainerMetadata) -> None:
    """Check the missing values that the attributes of a chunk's array declare."""
    path = getattr(setter, "path", "")
    array = StorePath(setter.store, _PLACE.sub("", path)) / METADATA_KEY  # type: ignore[attr-defined]
    document = await array.get()
    if document is not None:
        check_declared(read_json(document.to_bytes()).get("attributes") or {}, metadata)


def _is_whole(selection: Any, valid: tuple[int, ...]) -> bool:
    """Tell whether a selection takes every voxel of a chunk that lies in the volume."""
    return isinstance(selection, tuple) and all(
        isinstance(part, slice) and range(*part.indices(side)) == range(side)
        for part, side in zip(selection, valid, strict=True)
    )


def _index(getter: ByteGetter) -> ChunkIndex | None:
    """Index of the chunk that a getter reads; None within shards, whose own place is not known."""
    match = _PLACE.search(str(getattr(getter, "path", "")))
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


@functools.lru_cache(maxsize=_CACHED_DECODERS)
def _joined_decoder(decoder: ChunkDecoder, _devices: tuple[Any, ...]) -> JoinedCalls[bytes, np.ndarray]:
    """Make a function that decodes a chunk, together with those that other threads decode on these devices.

    By itself zarr-python hands over one chunk at a time, to several threads.
    """
    return JoinedCalls(decoder.decode_together, decoder.batch_size)
