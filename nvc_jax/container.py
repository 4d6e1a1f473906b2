"""The container: a Zarr v3 array of the volume's shape and dtype whose chunks the codec ``nvc`` wrote.

Format version 1, specified in ``FORMAT.md``. Each chunk is an object of its own, the payload of ``chunks``
closed by the CRC-32C of Zarr's codec of that name; what decoding needs besides stands in the configuration of
the codec ``nvc``. A model that does not ship with the package lies in the store's directory ``model``.
"""

import contextlib
import dataclasses
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.blocks import Shape3, check_shape
from nvc_jax.checkpoints import find_checkpoint, model_sha256, save_checkpoint
from nvc_jax.chunks import Frame, read_frame
from nvc_jax.codec import Codec, load_codec
from nvc_jax.normalize import check_dtype
from nvc_jax.packing import pack, unpack
from nvc_jax.volumes import put_in_place

FORMAT_VERSION = 1
_CODEC = "nvc"
_MODEL = "model"
_METADATA = "zarr.json"
_CRC_BYTES = 4


class FormatError(ValueError):
    """A store is no nvc container, or a damaged one."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What a container's metadata state.

    Attributes:
        shape: (z, y, x) of the volume.
        dtype: name of the volume's dtype.
        chunk: (z, y, x) voxels to a chunk.
        model: name of the model, for people; the SHA-256 decides.
        sha256: of the model's configuration and parameters.
        target: what was asked for, one entry: ``max_error``, ``relative_error``, ``psnr``, ``step``,
            ``lossless`` or ``latents``.
        minimum, maximum: the range of what is finite and no fill value.
        fill_values: values that are no measurements, and were stored exactly.
        max_error: the bound in the volume's units; None where none was asked for.
        step: of the quantiser: of spectral models in the volume's units, else in those of the latents; None
            where nothing is quantised.
    """

    shape: Shape3
    dtype: str
    chunk: Shape3
    model: str
    sha256: str
    target: dict[str, float | bool]
    minimum: float
    maximum: float
    fill_values: tuple[float, ...] = ()
    max_error: float | None = None
    step: float | None = None

    def to_metadata(self) -> dict[str, Any]:
        """The Zarr metadata that ``from_metadata`` reads back."""
        fields = dataclasses.asdict(self)
        shape, dtype, chunk = (fields.pop(name) for name in ("shape", "dtype", "chunk"))
        configuration = {"version": FORMAT_VERSION, **fields, "fill_values": list(self.fill_values)}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(shape),
            "data_type": dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": _CODEC, "configuration": configuration}, {"name": "crc32c"}],
            "dimension_names": ["z", "y", "x"],
            "attributes": {},
        }

    @classmethod
    def from_metadata(cls, metadata: Any) -> "Header":
        """The header that ``to_metadata`` described.

        Raises:
            FormatError: it is no nvc container's, or a field is missing, unknown or out of range.
        """
        try:
            codecs = metadata["codecs"]
            is_container = metadata["zarr_format"] == 3 and codecs[0]["name"] == _CODEC
        except (TypeError, KeyError, IndexError) as error:
            raise FormatError(f"the metadata are of no Zarr v3 array: {error!r}") from error
        if not is_container:
            raise FormatError("a Zarr array, but no nvc container: its codec is not `nvc`")
        try:
            configuration = dict(codecs[0]["configuration"])
            version = configuration.pop("version", None)
            if version != FORMAT_VERSION:
                raise FormatError(f"`version` (={version!r}) must be {FORMAT_VERSION}: upgrade nvc_jax")
            if [codec["name"] for codec in codecs[1:]] != ["crc32c"]:
                raise ValueError(f"`codecs` must end in `crc32c` alone: {codecs[1:]}")
            header = cls(
                **configuration | {"fill_values": tuple(configuration["fill_values"])},
                shape=check_shape(tuple(metadata["shape"])),
                dtype=metadata["data_type"],
                chunk=check_shape(tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])),
            )
            header._check()
        except FormatError:
            raise
        except (TypeError, ValueError, KeyError) as error:
            raise FormatError(f"the metadata are damaged: {error}") from error
        return header

    def _check(self) -> None:
        check_dtype(self.dtype)
        if not (np.isfinite([self.minimum, self.maximum]).all() and self.minimum <= self.maximum):
            raise ValueError(f"the range [{self.minimum}, {self.maximum}] is not finite and ordered")
        if not isinstance(self.target, dict) or len(self.target) != 1:
            raise ValueError(f"`target` (={self.target}) must have one entry")
        for name, value in (("max_error", self.max_error), ("step", self.step)):
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"`{name}` (={value}) must not be negative")

    @property
    def chunk_grid(self) -> Shape3:
        """Chunks along z, y and x."""
        z, y, x = (math.ceil(side / part) for side, part in zip(self.shape, self.chunk, strict=True))
        return z, y, x


class Store:
    """The chunks of a container in a directory."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path, self.header = path, header
        self._objects = ts.KvStore.open({"driver": "file", "path": f"{path.absolute()}/"}).result()

    def _key(self, index: tuple[int, ...]) -> str:
        return "/".join(["c", *map(str, index)])

    def write(self, index: tuple[int, ...], payload: bytes) -> None:
        """Store a chunk's payload; it is there as a whole or not at all."""
        self._objects.write(self._key(index), pack(payload, "crc32c")).result()

    def has(self, index: tuple[int, ...]) -> bool:
        """Whether a chunk is there, and whole."""
        try:
            self.read(index)
        except FormatError:
            return False
        return True

    def read(self, index: tuple[int, ...]) -> bytes:
        """A chunk's payload.

        Raises:
            FormatError: the chunk is missing or damaged.
        """
        found = self._objects.read(self._key(index)).result()
        if found.state != "value":
            raise FormatError(f"chunk {index} of `{self.path}` is missing")
        stored = bytes(found.value)
        with self.reading(index):
            if len(stored) <= _CRC_BYTES:
                raise ValueError(f"it has {len(stored)} bytes")
            return unpack(stored, "crc32c", len(stored) - _CRC_BYTES)

    def read_frame(self, index: tuple[int, ...]) -> Frame:
        """A chunk's payload, taken apart; errors as of ``read``."""
        payload = self.read(index)
        with self.reading(index):
            return read_frame(payload)

    @contextlib.contextmanager
    def reading(self, index: tuple[int, ...]) -> Iterator[None]:
        """What is wrong with a chunk that is read is the container's fault."""
        try:
            yield
        except ValueError as error:
            raise FormatError(f"chunk {index} of `{self.path}` is damaged: {error}") from error


@contextlib.contextmanager
def create(path: Path, header: Header, codec: Codec, *, resume: bool = False) -> Iterator[Store]:
    """Create a container and yield its chunks to be written.

    Until the block ends without an error, the store lies in a hidden directory beside its name; then it
    appears under its name, as a whole.

    Args:
        path: the store's directory; an existing store is replaced.
        header: the metadata.
        codec: the codec; its checkpoint is copied into the store unless it ships with the package.
        resume: go on with what an earlier run left, which must have been of the same header.

    Raises:
        ValueError: what an earlier run left is of another header.
    """
    partial = path.absolute().with_name(f".{path.name}.partial")
    metadata = json.dumps(header.to_metadata(), indent=1)
    if partial.exists() and not resume:
        shutil.rmtree(partial)
    if not (partial / _METADATA).exists():
        partial.mkdir(exist_ok=True)
        _write_whole(partial / _METADATA, metadata)
    elif (partial / _METADATA).read_text() != metadata:
        raise ValueError(f"`resume`: what lies in `{partial}` is of another volume, model or target")
    yield Store(partial, header)
    _embed_model(partial, header, codec)
    put_in_place(partial, path)


def _write_whole(path: Path, text: str) -> None:
    with open(draft := path.with_suffix(".draft"), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def _embed_model(store: Path, header: Header, codec: Codec) -> None:
    """Save the codec's checkpoint in the store, unless every installation has it."""
    try:
        find_checkpoint(header.sha256)
    except FileNotFoundError:
        shutil.rmtree(store / _MODEL, ignore_errors=True)
        card = f"# {header.model}\n\nKept with the data that it encoded.\n"
        save_checkpoint(store / _MODEL, codec.config, codec.params, card)


def open_container(path: Path) -> Store:
    """An existing container.

    Raises:
        FileNotFoundError: there is no such directory.
        FormatError: it is no container, or its metadata are damaged.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"the container `{path}` does not exist")
    try:
        metadata = json.loads((path / _METADATA).read_text())
    except FileNotFoundError as error:
        raise FormatError(f"`{path}` is no Zarr v3 array: it lacks `{_METADATA}`") from error
    except ValueError as error:
        raise FormatError(f"`{path}` is no readable Zarr v3 array: {error}") from error
    try:
        return Store(path, Header.from_metadata(metadata))
    except FormatError as error:
        raise FormatError(f"`{path}`: {error}") from error


def load_model(store: Store) -> Codec:
    """The codec that encoded a container: shipped with the package, or embedded.

    Raises:
        FileNotFoundError: neither is there.
        FormatError: the embedded model is damaged or not the one that the header names.
    """
    path, sha256 = store.path, store.header.sha256
    embedded = path / _MODEL
    if not embedded.is_dir():
        return load_codec(sha256)
    try:
        codec = load_codec(embedded)
    except (ValueError, FileNotFoundError) as error:
        raise FormatError(f"the model in `{path}` is damaged: {error}") from error
    if model_sha256(codec.config, codec.params) != sha256:
        raise FormatError(f"the model in `{path}` is not the one of SHA-256 {sha256}")
    return codec


def stored_bytes(path: Path) -> int:
    """Bytes of all files of a container: payload, index, metadata and an embedded model."""
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
