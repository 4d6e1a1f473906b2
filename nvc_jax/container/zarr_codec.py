"""The codec ``nvc`` for zarr-python 3, found through the entry point ``zarr.codecs``.

So zarr-python, and xarray and dask by it, read containers like any other Zarr array (extra ``zarr``).
"""

import asyncio
import dataclasses
import functools
import json
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer

from nvc_jax.container.chunk_decoder import PayloadDecoder
from nvc_jax.container.metadata import CODEC_NAME, ContainerMetadata, read_configuration
from nvc_jax.core.shapes import check_shape


@dataclasses.dataclass(frozen=True)
class NvcCodec(ArrayBytesCodec):
    """Decodes chunks that ``nvc_jax.compress`` wrote; margins, of the paper's models alone, are cropped.

    Attributes:
        configuration: JSON of the codec's configuration in the array's metadata.
    """

    is_fixed_size = False
    configuration: str

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """From the metadata; ``FormatError`` or ``ValueError`` if they are of another version or damaged."""
        read_configuration(data["configuration"])
        return cls(json.dumps(data["configuration"]))

    def to_dict(self) -> dict[str, Any]:
        """For the metadata."""
        return {"name": CODEC_NAME, "configuration": json.loads(self.configuration)}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError("chunks of `nvc` have no fixed size")

    async def decode(
        self, chunks_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]
    ) -> Iterable[NDBuffer | None]:
        """Decode a batch of chunks, as many as zarr's ``codec_pipeline.batch_size``, in few device calls."""
        batch = list(chunks_and_specs)
        present = [(chunk, spec) for chunk, spec in batch if chunk is not None]
        if not present:
            return [None] * len(batch)
        decoded = iter(await asyncio.to_thread(self._decode_batch, present))
        return [None if chunk is None else next(decoded) for chunk, _ in batch]

    def _decode_batch(self, batch: list[tuple[Buffer, ArraySpec]]) -> list[NDBuffer]:
        spec = batch[0][1]
        decoder = _decoder(self.configuration, spec.shape, spec.dtype.to_native_dtype().name)
        decoded = decoder.decode_many([chunk.to_bytes() for chunk, _ in batch])
        buffers = []
        for values, (_, spec) in zip(decoded, batch, strict=True):
            # Zarr's chunks at the far boundaries are whole; what lies beyond is never looked at.
            missing = [(0, most - side) for most, side in zip(spec.shape, values.shape, strict=True)]
            buffers.append(spec.prototype.nd_buffer.from_numpy_array(np.pad(values, missing)))
        return buffers

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError(
            "chunks of `nvc` are written by `nvc_jax.compress`, not through zarr-python"
        )


@functools.lru_cache(maxsize=16)
def _decoder(configuration: str, chunk: tuple[int, ...], dtype: str) -> PayloadDecoder:
    fields = read_configuration(json.loads(configuration))
    chunk = check_shape(chunk)
    return PayloadDecoder(ContainerMetadata(**fields, shape=chunk, chunk=chunk, dtype=dtype))
