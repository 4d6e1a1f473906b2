"""Metadata of a container: the ``zarr.json`` of a Zarr v3 array of the codec ``nvc``.

Format version 1, see ``FORMAT.md``. ``configuration`` has the fields of the codec ``nvc``.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from nvc_jax.chunks.preview import PREVIEW_BLOCK_SIZE
from nvc_jax.container.configuration import FormatError, read_configuration, read_sides, state_configuration
from nvc_jax.container.value_rules import choose_fill_value
from nvc_jax.core.cached_properties import cached_property
from nvc_jax.core.chunk_grid import MAX_CHUNK_VOXELS
from nvc_jax.core.chunk_interfaces import NO_LIMITS, ChunkFormat, Limits, QualityTarget, ValueRange
from nvc_jax.core.json_documents import write_json
from nvc_jax.core.shapes import Shape, Shape3
from nvc_jax.core.spatial_axes import count_steps, spatial_axes, spatial_shape

CODEC_NAME = "nvc"
METADATA_KEY = "zarr.json"
"""Key of the metadata, below the container."""
INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
"""Zarr's codecs of a shard's index."""


@dataclasses.dataclass(frozen=True)
class ContainerMetadata:
    """Metadata of a container.

    Attributes:
        shape: of the volume, which has two to five axes.
        dtype: name of the volume's dtype.
        chunk: voxels of a chunk, the unit of decoding, along each axis; at most four are more than 1.
        model: name of the model, for people; None if the model ships with the package, which knows its name.
        sha256: of the model's configuration and parameters, or the first 16 digits or more of it.
        target: quality target that the user asked for, one entry.
        minimum, maximum: range of the valid values.
        missing_values: values that stand for no measurement, stored exactly.
        valid_limits: values beyond them stand for no measurement, too.
        value_limits: limits that the user set to decoded values.
        exact_values: valid values that come back exactly.
        max_error: error bound in the volume's units; None for no such bound.
        step: of the quantiser: of spectral models in the volume's units, else in those of the latents; None
            where nothing is quantised, or under a bound, where each chunk states its own.
        embedded: the model itself, unless it ships with the package: see ``models.embedded.embed_model``.
        shard: voxels of a stored object along each axis, multiples of the chunk's; None if each chunk is one.
        fingerprint: CRC-32 of the CRC-32s of the source's chunks, by which later runs recognise it.
        dimension_names: of the axes.
        attributes: of the user, JSON-ready.
    """

    shape: Shape
    dtype: str
    chunk: Shape
    model: str | None
    sha256: str
    target: QualityTarget
    minimum: float
    maximum: float
    missing_values: tuple[float, ...] = ()
    valid_limits: Limits = NO_LIMITS
    value_limits: Limits = NO_LIMITS
    exact_values: tuple[float, ...] = ()
    max_error: float | None = None
    step: float | None = None
    embedded: dict[str, Any] | None = None
    shard: Shape | None = None
    fingerprint: int | None = None
    dimension_names: tuple[str | None, ...] = ("z", "y", "x")
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    _id: str | None = dataclasses.field(default=None, init=False, compare=False, repr=False)

    def configuration(self) -> dict[str, Any]:
        """Configuration of the codec ``nvc``, which ``read_configuration`` reads back."""
        return {**self._configuration}

    @cached_property
    def _configuration(self) -> dict[str, Any]:
        return state_configuration(
            {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        )

    @property
    def identity(self) -> bytes:
        """Identity of the container, which each chunk's checksum covers."""
        return bytes.fromhex(self._id or self._configuration["id"])

    def to_json(self) -> dict[str, Any]:
        """Zarr metadata, JSON-ready, which ``from_json`` reads back."""
        codecs = [{"name": CODEC_NAME, "configuration": self.configuration()}]
        if self.shard is not None:
            sharding = {
                "chunk_shape": list(self.chunk),
                "codecs": codecs,
                "index_codecs": INDEX_CODECS,
                "index_location": "end",
            }
            codecs = [{"name": "sharding_indexed", "configuration": sharding}]
        grid = {"name": "regular", "configuration": {"chunk_shape": list(self.shard or self.chunk)}}
        document = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.dtype,
            "chunk_grid": grid,
            "chunk_key_encoding": {"name": "default"},
            "fill_value": choose_fill_value(np.dtype(self.dtype), self.value_range),
            "codecs": codecs,
            "dimension_names": list(self.dimension_names),
        }
        return document | ({"attributes": self.attributes} if self.attributes else {})

    def to_text(self) -> str:
        """Zarr metadata as they are stored.

        Raises:
            TypeError, ValueError: the attributes are not of JSON, or too many or too deep.
        """
        return self._text

    @cached_property
    def _text(self) -> str:
        try:
            return write_json(self.to_json())
        except ValueError as error:
            raise ValueError(
                f"the metadata, with the source's attributes and an embedded model, do not fit: {error}"
            ) from error

    @classmethod
    def from_json(cls, document: Any) -> "ContainerMetadata":
        """Read the metadata that ``to_json`` made.

        Raises:
            FormatError: they are not those of a container, or a field is missing, unknown or out of range.
        """
        configuration, chunk, shard = _read_codecs(document)
        with naming_damage():
            metadata = dataclasses.replace(
                cls.from_configuration(configuration, chunk, document["data_type"]),
                shard=None if shard is None else read_sides("chunk_shape", shard),
                dimension_names=tuple(document.get("dimension_names") or (None,) * len(chunk)),
                attributes=document.get("attributes", {}),
            )
            metadata.check(read_sides("shape", document["shape"]))
            return metadata.with_id(configuration["id"])

    @classmethod
    def from_configuration(cls, configuration: Any, chunk: Any, dtype: Any) -> "ContainerMetadata":
        """Read what the codec ``nvc`` knows of the metadata: not attributes, names of dimensions and shards.

        Raises:
            FormatError: a field is missing, unknown or out of range, or differs from what was written.
        """
        with naming_damage():
            sides = read_sides("chunk_shape", chunk, MAX_CHUNK_VOXELS)
            metadata = cls(**read_configuration(configuration, sides, dtype)).with_id(configuration["id"])
            if len(metadata.shape) != len(sides):
                raise ValueError(f"`shape` (={metadata.shape}) must have as many axes as chunks {sides}")
            spatial_axes(sides)  # or there are too many
            return metadata

    def with_id(self, stored: str) -> "ContainerMetadata":
        """Copy the metadata with the identity as it is stored."""
        copy = dataclasses.replace(self)
        object.__setattr__(copy, "_id", stored)
        return copy

    def check(self, array_shape: Shape) -> None:
        """Raise ``ValueError`` unless the fields make sense together, and with the shape of Zarr's array."""
        if array_shape != self.shape:
            raise ValueError(f"`shape` (={array_shape}) must be that of the volume, {self.shape}")
        if not isinstance(self.attributes, dict):
            raise ValueError(f"`attributes` (={self.attributes!r:.80}) must be an object")
        if len(self.dimension_names) != len(self.shape):
            raise ValueError(
                f"`dimension_names` (={self.dimension_names!r:.80}) must be those of {len(self.shape)} axes"
            )
        if len(self.shard or self.chunk) != len(self.chunk):
            raise ValueError(f"shards {self.shard} must have as many axes as chunks {self.chunk}")
        if any(side % part for side, part in zip(self.shard or self.chunk, self.chunk, strict=True)):
            raise ValueError(f"shards {self.shard} are no multiples of chunks {self.chunk}")

    @property
    def pointwise_error(self) -> float | None:
        """Error bound as a share of each value's magnitude; None for no such bound."""
        return self.target.get("pointwise_error")

    @property
    def is_bounded(self) -> bool:
        """True if every error is bounded, and each chunk has a step of its own."""
        return self.max_error is not None or self.pointwise_error is not None

    @property
    def has_preview(self) -> bool:
        """True if chunks hold whole blocks of 8³ voxels, whose means are the preview."""
        return all(side == 1 or side % PREVIEW_BLOCK_SIZE == 0 for side in self.spatial_chunk)

    @property
    def preview_scale(self) -> Shape:
        """Voxels of the volume that make one of the preview, along each axis."""
        scale = np.ones(len(self.chunk), int)
        scale[spatial_axes(self.chunk)] = PREVIEW_BLOCK_SIZE
        return tuple(map(int, np.minimum(scale, self.chunk)))

    @property
    def value_range(self) -> ValueRange:
        """Range and missing values of the volume."""
        limits = (self.valid_limits, self.value_limits)
        return ValueRange(self.minimum, self.maximum, self.missing_values, *limits, self.exact_values)

    @property
    def chunk_format(self) -> ChunkFormat:
        """Properties that all chunks have in common."""
        dtype = np.dtype(self.dtype)
        return ChunkFormat(self.spatial_chunk, dtype, self.value_range, self.step, self.n_steps)

    @cached_property
    def spatial_chunk(self) -> Shape3:
        """Spatial shape of a whole chunk, as its payload has it."""
        return spatial_shape(self.chunk, self.chunk)

    @cached_property
    def n_steps(self) -> int:
        """Number of steps that a whole chunk holds; 1 for chunks without a step axis."""
        return count_steps(self.chunk, self.chunk)

    @cached_property
    def chunk_grid(self) -> Shape:
        """Chunks along each axis."""
        return _divide_up(self.shape, self.chunk)

    @cached_property
    def object_grid(self) -> Shape:
        """Stored objects, shards or chunks, along each axis."""
        return _divide_up(self.shape, self.shard or self.chunk)

    @cached_property
    def chunks_per_object(self) -> Shape:
        """Chunks of a stored object along each axis."""
        return _divide_up(self.shard or self.chunk, self.chunk)


@contextlib.contextmanager
def naming_damage() -> Iterator[None]:
    """Turn errors of reading damaged metadata into a ``FormatError``."""
    try:
        yield
    except FormatError:
        raise
    except (TypeError, ValueError, KeyError, OverflowError, AttributeError) as error:
        fault = f"{error} is missing" if isinstance(error, KeyError) else error
        raise FormatError(f"the metadata are damaged: {fault}") from error


def _read_codecs(document: Any) -> tuple[Any, Any, Any]:
    """Read the configuration, the chunk shape, and the shard shape or None, from Zarr metadata."""
    try:
        chunk, shard = document["chunk_grid"]["configuration"]["chunk_shape"], None
        codecs = document["codecs"]
        if codecs[0]["name"] == "sharding_indexed":
            sharding = codecs[0]["configuration"]
            codecs, chunk, shard = sharding["codecs"], sharding["chunk_shape"], chunk
        is_container = document["zarr_format"] == 3 and codecs[0]["name"] == CODEC_NAME
        if not is_container:
            raise FormatError("a Zarr array, but no nvc container: its codec is not `nvc`")
        if len(codecs) != 1:
            raise FormatError(f"the metadata are damaged: `codecs` must be `nvc` alone, not {len(codecs)}")
        return codecs[0]["configuration"], chunk, shard
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise FormatError(f"the metadata are of no Zarr v3 array: {error!r}") from error


def _divide_up(sides: Shape, parts: Shape) -> Shape:
    return tuple(-(-side // part) for side, part in zip(sides, parts, strict=True))
