"""The container: a Zarr v3 array of latents or streams, with what decoding needs in its attributes.

Provisional format 0. Without a step an array (grid_z, grid_y, grid_x, latent_dim) of float32 latents in
chunks, each compressed without loss by Blosc. With a step an array of bytes, the payloads of the volume's
chunks end to end. Every Zarr chunk is closed by a CRC-32C. A model that does not ship with the
package lies in the store's directory ``model``.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.blocks import Shape3, check_shape, grid_shape
from nvc_jax.checkpoints import find_checkpoint, model_sha256, save_checkpoint
from nvc_jax.codec import Codec, load_codec
from nvc_jax.normalize import check_dtype
from nvc_jax.volumes import replacing

FORMAT_VERSION = 0
_MODEL = "model"
_KEY = "nvc"


class FormatError(ValueError):
    """A store is no nvc container, or a damaged one."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What a container states beside the latents.

    Attributes:
        shape: (z, y, x) of the volume.
        dtype: name of the volume's dtype.
        minimum, maximum: the volume's finite range.
        block_size: side of a block in voxels.
        latent_dim: numbers that represent a block.
        model: name of the model, for people; the SHA-256 decides.
        sha256: of the model's configuration and parameters.
        version: of the format.
        step: of the quantiser, relative to the range for spectral models, else in the unit of the
            latents; None for latents that are not quantised. So too:
        chunk: (z, y, x) voxels that were encoded together; the volume is padded to whole chunks.
        ends: where each chunk's payload ends, in bytes; chunks in z, y, x order.
    """

    shape: Shape3
    dtype: str
    minimum: float
    maximum: float
    block_size: int
    latent_dim: int
    model: str
    sha256: str
    version: int = FORMAT_VERSION
    step: float | None = None
    chunk: Shape3 | None = None
    ends: tuple[int, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready description that ``from_dict`` reads back."""
        fields = {**dataclasses.asdict(self), "shape": list(self.shape)}
        return {key: value for key, value in fields.items() if value is not None}

    @classmethod
    def from_dict(cls, description: Any) -> "Header":
        """The header that ``to_dict`` described.

        Raises:
            FormatError: a field is missing, unknown or out of range.
        """
        version = description.get("version") if isinstance(description, dict) else None
        if version != FORMAT_VERSION:
            raise FormatError(f"`version` (={version!r}) must be {FORMAT_VERSION}: upgrade nvc_jax")
        try:
            fields: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in description.items()
            }
            header = cls(**{**fields, "shape": check_shape(fields["shape"])})
            header._check()
        except (TypeError, ValueError, KeyError) as error:
            raise FormatError(f"the attribute `{_KEY}` is damaged: {error}") from error
        return header

    def _check(self) -> None:
        check_dtype(self.dtype)
        if not (np.isfinite([self.minimum, self.maximum]).all() and self.minimum <= self.maximum):
            raise ValueError(f"the range [{self.minimum}, {self.maximum}] is not finite and ordered")
        if min(self.block_size, self.latent_dim) < 1:
            raise ValueError("`block_size` and `latent_dim` must be at least 1")
        if self.step is None:
            return
        if self.chunk is None or self.ends is None or not self.step > 0:
            raise ValueError(f"`step` (={self.step}) must be positive, with `chunk` and `ends` beside it")
        check_chunk(self.chunk, self.block_size)
        if len(self.ends) != math.prod(self.chunk_grid) or list(self.ends) != sorted(self.ends):
            raise ValueError(f"`ends` must rise, one for each of {math.prod(self.chunk_grid)} chunks")

    @property
    def chunk_grid(self) -> Shape3:
        """Chunks along z, y and x."""
        assert self.chunk is not None
        z, y, x = (math.ceil(side / part) for side, part in zip(self.shape, self.chunk, strict=True))
        return z, y, x

    @property
    def array_shape(self) -> tuple[int, ...]:
        """Shape of the stored array."""
        return self.latents_shape if self.ends is None else (self.ends[-1],)

    @property
    def latents_shape(self) -> tuple[int, int, int, int]:
        """Blocks along z, y and x, and latents of each."""
        return (*grid_shape(self.shape, self.block_size), self.latent_dim)


def check_chunk(chunk: tuple[int, ...], block_size: int) -> Shape3:
    """Blocks along each axis of a chunk given in voxels, or ``ValueError``."""
    if len(chunk) != 3 or any(side < 1 or side % block_size for side in chunk):
        raise ValueError(
            f"`chunk` (={','.join(map(str, chunk))}) must be three positive multiples of the model's "
            f"block size (={block_size})"
        )
    z, y, x = (side // block_size for side in chunk)
    return z, y, x


@contextlib.contextmanager
def create(path: Path, header: Header, codec: Codec, chunk: Shape3) -> Iterator[ts.TensorStore]:
    """Create a container and yield its array to be written.

    The store appears under its name when the block ends without an error, and not at all otherwise.

    Args:
        path: the store's directory; an existing store is replaced.
        header: the metadata.
        codec: the codec; its checkpoint is copied into the store unless it ships with the package.
        chunk: (z, y, x) voxels to a chunk of latents, multiples of the block size.
    """
    spec: dict[str, Any] = {
        "driver": "zarr3",
        "store_data_equal_to_fill_value": True,  # a chunk that is not there is a lost one
        "metadata": {
            **(_latents_metadata(header, chunk) if header.step is None else _streams_metadata(header)),
            "shape": header.array_shape,
            "attributes": {_KEY: header.to_dict()},
        },
    }
    with replacing(path) as partial:
        yield ts.open(spec | {"kvstore": _kvstore(partial)}, create=True).result()
        _embed_model(partial, header, codec)


def _latents_metadata(header: Header, chunk: Shape3) -> dict[str, Any]:
    grid = header.latents_shape[:3]
    blocks = check_chunk(chunk, header.block_size)
    chunk_shape = [*(min(c, g) for c, g in zip(blocks, grid, strict=True)), header.latent_dim]
    blosc = {"cname": "zstd", "clevel": 5, "shuffle": "shuffle", "typesize": 4}
    return {
        "data_type": "float32",
        "fill_value": 0.0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "dimension_names": ["z", "y", "x", "latent"],
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "blosc", "configuration": blosc},
            {"name": "crc32c"},
        ],
    }


def _streams_metadata(header: Header) -> dict[str, Any]:
    chunk_shape = [min(header.array_shape[0], 1 << 20)]
    return {
        "data_type": "uint8",
        "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "dimension_names": ["byte"],
        "codecs": [{"name": "bytes"}, {"name": "crc32c"}],
    }


def _kvstore(path: Path) -> dict[str, str]:
    return {"driver": "file", "path": f"{path.absolute()}/"}


def _embed_model(store: Path, header: Header, codec: Codec) -> None:
    """Save the codec's checkpoint in the store, unless every installation has it."""
    try:
        find_checkpoint(header.sha256)
    except FileNotFoundError:
        card = f"# {header.model}\n\nKept with the data that it encoded.\n"
        save_checkpoint(store / _MODEL, codec.config, codec.params, card)


def open_container(path: Path) -> tuple[Header, ts.TensorStore]:
    """The header and the array of a container.

    Raises:
        FileNotFoundError: there is no such directory.
        FormatError: it is no container, or its metadata are damaged.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"the container `{path}` does not exist")
    spec = {
        "driver": "zarr3",
        "kvstore": _kvstore(path),
        "fill_missing_data_reads": False,
    }
    try:
        array = ts.open(spec, read=True, open=True).result()
        attributes = array.spec().to_json(include_defaults=True)["metadata"].get("attributes", {})
    except (ValueError, KeyError) as error:
        raise FormatError(f"`{path}` is no readable Zarr v3 array: {error}") from error
    if _KEY not in attributes:
        raise FormatError(f"`{path}` is a Zarr array, but no nvc container: it lacks the attribute `{_KEY}`")
    try:
        header = Header.from_dict(attributes[_KEY])
    except FormatError as error:
        raise FormatError(f"`{path}`: {error}") from error
    dtype = ts.float32 if header.step is None else ts.uint8
    if array.shape != header.array_shape or array.dtype != dtype:
        raise FormatError(
            f"`{path}` holds {array.dtype.name} {array.shape}; its header says {dtype.name} "
            f"{header.array_shape}"
        )
    return header, array


def read_array(array: ts.TensorStore, path: Path) -> np.ndarray:
    """The values of (a part of) a container's array.

    Raises:
        FormatError: a chunk is missing or damaged.
    """
    try:
        return np.asarray(array.read().result())
    except (ValueError, OSError) as error:
        raise FormatError(f"`{path}` is damaged: {error}") from error


def load_model(path: Path, header: Header) -> Codec:
    """The codec that encoded a container: shipped with the package, or embedded.

    Raises:
        FileNotFoundError: neither is there.
        FormatError: the embedded model is damaged or not the one that the header names.
    """
    embedded = path / _MODEL
    if not embedded.is_dir():
        return load_codec(header.sha256)
    try:
        codec = load_codec(embedded)
    except (ValueError, FileNotFoundError) as error:
        raise FormatError(f"the model in `{path}` is damaged: {error}") from error
    if model_sha256(codec.config, codec.params) != header.sha256:
        raise FormatError(f"the model in `{path}` is not the one of SHA-256 {header.sha256}")
    return codec


def stored_bytes(path: Path) -> int:
    """Bytes of all files of a container: payload, index, metadata and an embedded model."""
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
