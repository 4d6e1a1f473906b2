"""Metadata of a container: the ``zarr.json`` of a Zarr v3 array of the codec ``nvc``.

Format version 1, see ``FORMAT.md``. The configuration of the codec ``nvc`` holds everything that decoding
needs, so that any reader of Zarr arrays hands it on without understanding it.
"""

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nvc_jax.container.value_rules import choose_fill_value, limits_as_json, limits_from_json
from nvc_jax.core.chunk_interfaces import NO_LIMITS, ChunkFormat, Limits, QualityTarget, ValueRange
from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import Shape3, check_shape

FORMAT_VERSION = 1
CODEC_NAME = "nvc"
INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
"""Zarr's codecs of a shard's index."""

_CONFIGURATION = {
    **{name: name for name in ("model", "sha256", "target", "minimum", "maximum")},
    "fill_values": "missing_values",
    **{name: name for name in ("valid_limits", "value_limits", "exact_values")},
    **{name: name for name in ("max_error", "step", "fingerprint", "embedded")},
}
"""Fields of the codec's configuration as stored, and the attributes that hold them."""
_ABSENT = (None, (), NO_LIMITS)
"""Values of fields that are left out."""
_LIMITS = ("valid_limits", "value_limits")
"""Fields of two limits, which are stored as null where there is none."""
_FLOATS = ("target", "minimum", "maximum", "fill_values", *_LIMITS, "exact_values", "max_error", "step")
"""Fields of floats, which are stored as integers where these are shorter."""


class FormatError(ValueError):
    """Error of a store that is no nvc container, or a damaged one."""


@dataclasses.dataclass(frozen=True)
class ContainerMetadata:
    """Metadata of a container.

    Attributes:
        shape: (z, y, x) of the volume.
        dtype: name of the volume's dtype.
        chunk: (z, y, x) voxels of a chunk, the unit of decoding.
        model: name of the model, for people; the SHA-256 decides.
        sha256: of the model's configuration and parameters.
        target: quality target that the user asked for, one entry.
        minimum, maximum: range of the valid values.
        missing_values: values that stand for no measurement, stored exactly.
        valid_limits: values beyond them stand for no measurement, too.
        value_limits: limits that the user set to decoded values.
        exact_values: valid values that come back exactly.
        max_error: error bound in the volume's units; None for no bound.
        step: of the quantiser: of spectral models in the volume's units, else in those of the latents; None
            where nothing is quantised.
        embedded: the model itself, unless it ships with the package: see ``models.embedded.embed_model``.
        shard: (z, y, x) voxels of a stored object, multiples of the chunk's; None if each chunk is one.
        fingerprint: CRC-32C of some of the source's chunks, by which writers and resumed runs recognise it.
        dimension_names: of z, y and x.
        attributes: of the user, JSON-ready.
    """

    shape: Shape3
    dtype: str
    chunk: Shape3
    model: str
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
    shard: Shape3 | None = None
    fingerprint: int | None = None
    dimension_names: tuple[str | None, ...] = ("z", "y", "x")
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def configuration(self) -> dict[str, Any]:
        """Configuration of the codec ``nvc``, which ``read_configuration`` reads back."""
        fields = {name: getattr(self, attribute) for name, attribute in _CONFIGURATION.items()}
        stated = {name: value for name, value in fields.items() if value not in _ABSENT}
        stated |= {name: limits_as_json(stated[name]) for name in _LIMITS if name in stated}
        shortened = {name: _map_numbers(_shorten, stated[name]) for name in _FLOATS if name in stated}
        return {"version": FORMAT_VERSION, **stated, **shortened}

    def to_json(self) -> dict[str, Any]:
        """Zarr metadata, JSON-ready, which ``from_json`` reads back."""
        codecs = [{"name": CODEC_NAME, "configuration": self.configuration()}, {"name": "crc32c"}]
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
        """Zarr metadata as they are stored."""
        return json.dumps(self.to_json(), separators=(",", ":"))

    @classmethod
    def from_json(cls, document: Any) -> "ContainerMetadata":
        """Read the metadata that ``to_json`` made.

        Raises:
            FormatError: they are not those of a container, or a field is missing, unknown or out of range.
        """
        codecs, chunk, shard = _read_codecs(document)
        try:
            metadata = cls(
                **read_configuration(codecs[0]["configuration"]),
                shape=check_shape(tuple(document["shape"])),
                dtype=document["data_type"],
                chunk=check_shape(tuple(chunk)),
                shard=None if shard is None else check_shape(tuple(shard)),
                dimension_names=tuple(document.get("dimension_names") or (None,) * 3),
                attributes=document.get("attributes", {}),
            )
            metadata.check(codecs[1:])
        except FormatError:
            raise
        except (TypeError, ValueError, KeyError) as error:
            raise FormatError(f"the metadata are damaged: {error}") from error
        return metadata

    def check(self, later_codecs: list[Any]) -> None:
        """Raise ``ValueError`` unless the fields make sense together."""
        if [codec["name"] for codec in later_codecs] != ["crc32c"]:
            raise ValueError(f"`codecs` must end in `crc32c` alone: {later_codecs}")
        check_dtype(self.dtype)
        if not (np.isfinite([self.minimum, self.maximum]).all() and self.minimum <= self.maximum):
            raise ValueError(f"the range [{self.minimum}, {self.maximum}] is not finite and ordered")
        if not isinstance(self.target, dict) or len(self.target) != 1:
            raise ValueError(f"`target` (={self.target}) must have one entry")
        for name, value in (("max_error", self.max_error), ("step", self.step)):
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"`{name}` (={value}) must not be negative")
        if not isinstance(self.attributes, dict):
            raise ValueError(f"`attributes` (={self.attributes}) must be an object")
        if any(side % part for side, part in zip(self.shard or self.chunk, self.chunk, strict=True)):
            raise ValueError(f"shards {self.shard} are no multiples of chunks {self.chunk}")

    @property
    def value_range(self) -> ValueRange:
        """Range and missing values of the volume."""
        return ValueRange(
            self.minimum,
            self.maximum,
            self.missing_values,
            self.valid_limits,
            self.value_limits,
            self.exact_values,
        )

    @property
    def chunk_format(self) -> ChunkFormat:
        """Properties that all chunks have in common."""
        return ChunkFormat(self.chunk, np.dtype(self.dtype), self.value_range, self.step)

    @property
    def chunk_grid(self) -> Shape3:
        """Chunks along z, y and x."""
        return _divide_up(self.shape, self.chunk)

    @property
    def object_grid(self) -> Shape3:
        """Stored objects, shards or chunks, along z, y and x."""
        return _divide_up(self.shape, self.shard or self.chunk)

    @property
    def chunks_per_object(self) -> Shape3:
        """Chunks of a stored object along z, y and x."""
        return _divide_up(self.shard or self.chunk, self.chunk)


def _read_codecs(document: Any) -> tuple[list[Any], Any, Any]:
    """Read the codecs of a chunk, the chunk shape, and the shard shape or None, from Zarr metadata."""
    try:
        chunk, shard = document["chunk_grid"]["configuration"]["chunk_shape"], None
        codecs = document["codecs"]
        if codecs[0]["name"] == "sharding_indexed":
            sharding = codecs[0]["configuration"]
            codecs, chunk, shard = sharding["codecs"], sharding["chunk_shape"], chunk
        is_container = document["zarr_format"] == 3 and codecs[0]["name"] == CODEC_NAME
    except (TypeError, KeyError, IndexError) as error:
        raise FormatError(f"the metadata are of no Zarr v3 array: {error!r}") from error
    if not is_container:
        raise FormatError("a Zarr array, but no nvc container: its codec is not `nvc`")
    return codecs, chunk, shard


def read_configuration(configuration: Any) -> dict[str, Any]:
    """Read the configuration of the codec ``nvc``: attributes of ``ContainerMetadata`` by name.

    Raises:
        FormatError: it is of another version.
        ValueError, TypeError, KeyError: a field is missing or unknown.
    """
    fields = dict(configuration)
    version = fields.pop("version", None)
    if version != FORMAT_VERSION:
        raise FormatError(f"`version` (={version!r}) must be {FORMAT_VERSION}: upgrade nvc_jax")
    if unknown := sorted(fields.keys() - _CONFIGURATION.keys()):
        raise ValueError(f"the configuration of `nvc` has unknown fields: {', '.join(unknown)}")
    fields |= {name: _map_numbers(float, fields[name]) for name in _FLOATS if name in fields}
    for name in ("fill_values", "exact_values"):
        fields[name] = tuple(fields.get(name, ()))
    fields |= {name: limits_from_json(fields.get(name, (None, None))) for name in _LIMITS}
    return {_CONFIGURATION[name]: value for name, value in fields.items()}


def _shorten(number: float) -> float:
    """Turn a float into an integer if that makes a shorter text."""
    is_shorter = float(number).is_integer() and len(str(int(number))) < len(repr(number))
    return int(number) if is_shorter else number


def _map_numbers(function: Callable[[float], float], value: Any) -> Any:
    """Apply a function to a number, or to those in a list or an object; leave anything else as it is."""
    if isinstance(value, dict):
        return {name: _map_numbers(function, entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_map_numbers(function, entry) for entry in value]
    return function(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _divide_up(sides: Shape3, parts: Shape3) -> Shape3:
    return check_shape(tuple(math.ceil(side / part) for side, part in zip(sides, parts, strict=True)))
