"""The codec ``nvc`` for zarr-python 3 (extra ``zarr``), found through the entry point ``zarr.codecs``.

With it zarr-python, and so xarray and dask, read containers like any other Zarr array.
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

from nvc_jax.container.metadata import CODEC_NAME, ContainerMetadata, read_configuration
from nvc_jax.container.model import make_decoder
from nvc_jax.core.chunk_interfaces import ChunkDecoder
from nvc_jax.core.shapes import check_shape

_CACHED_DECODERS = 16
"""Arrays whose decoders, and so whose models, are kept."""


@dataclasses.dataclass(frozen=True)
class NvcCodec(ArrayBytesCodec):
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
            ValueError: a field is missing or unknown.
        """
        read_configuration(data["configuration"])
        return cls(json.dumps(data["configuration"]))

    def to_dict(self) -> dict[str, Any]:
        """Describe the codec for an array's metadata."""
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
            # Zarr wants whole chunks at the far boundaries, too; it never looks at the padding.
            padding = [(0, n - side) for n, side in zip(spec.shape, values.shape, strict=True)]
            buffers.append(spec.prototype.nd_buffer.from_numpy_array(np.pad(values, padding)))
        return buffers

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError(
            "chunks of `nvc` are written by `nvc_jax.compress`, not through zarr-python"
        )


@functools.lru_cache(maxsize=_CACHED_DECODERS)
def _decoder(configuration: str, chunk: tuple[int, ...], dtype: str) -> ChunkDecoder:
    """Make the decoder of an array's chunks; zarr-python does not tell a codec the array's shape."""
    fields = read_configuration(json.loads(configuration))
    chunk = check_shape(chunk)
    return make_decoder(ContainerMetadata(**fields, shape=chunk, chunk=chunk, dtype=dtype), "crop")
