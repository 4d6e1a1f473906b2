"""What a container's metadata state: the ``zarr.json`` of a Zarr v3 array of the codec ``nvc``.

Format version 1, specified in ``FORMAT.md``. What decoding needs stands in the configuration of the codec
``nvc``, so that a reader of Zarr arrays hands it on without knowing what it is.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import Shape3, check_shape

FORMAT_VERSION = 1
CODEC_NAME = "nvc"
INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
"""Zarr's codecs of a shard's index."""


class FormatError(ValueError):
    """A store is no nvc container, or a damaged one."""


@dataclasses.dataclass(frozen=True)
class ContainerMetadata:
    """What a container's metadata state.

    Attributes:
        shape: (z, y, x) of the volume.
        dtype: name of the volume's dtype.
        chunk: (z, y, x) voxels to a chunk, the unit of decoding.
        model: name of the model, for people; the SHA-256 decides.
        sha256: of the model's configuration and parameters.
        target: what was asked for, one entry: ``max_error``, ``relative_error``, ``psnr``, ``step``,
            ``lossless`` or ``latents``.
        minimum, maximum: the range of what is finite and no fill value.
        missing_values: values that are no measurements, and were stored exactly.
        max_error: the bound in the volume's units; None where none was asked for.
        step: of the quantiser: of spectral models in the volume's units, else in those of the latents; None
            where nothing is quantised.
        embedded: the model itself, unless it ships with the package: see ``checkpoints.embed_model``.
        shard: (z, y, x) voxels to a stored object, multiples of the chunk's; None if each chunk is one.
        fingerprint: CRC-32C of some of the source's chunks: by it writers and resumed runs know the source.
        dimension_names: of z, y and x.
        attributes: the user's, JSON-ready.
    """

    shape: Shape3
    dtype: str
    chunk: Shape3
    model: str
    sha256: str
    target: dict[str, float | bool]
    minimum: float
    maximum: float
    missing_values: tuple[float, ...] = ()
    max_error: float | None = None
    step: float | None = None
    embedded: dict[str, Any] | None = None
    shard: Shape3 | None = None
    fingerprint: int | None = None
    dimension_names: tuple[str | None, ...] = ("z", "y", "x")
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def configuration(self) -> dict[str, Any]:
        """What stands in the configuration of the codec ``nvc``."""
        fields = {name: getattr(self, attribute) for name, attribute in _CONFIGURED.items()}
        for name in ("embedded", "fingerprint"):
            if fields[name] is None:
                del fields[name]
        return {"version": FORMAT_VERSION, **fields, "fill_values": list(self.missing_values)}

    def to_metadata(self) -> dict[str, Any]:
        """The Zarr metadata that ``from_metadata`` reads back."""
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
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.dtype,
            "chunk_grid": grid,
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": codecs,
            "dimension_names": list(self.dimension_names),
            "attributes": self.attributes,
        }

    @classmethod
    def from_metadata(cls, metadata: Any) -> "ContainerMetadata":
        """The header that ``to_metadata`` described.

        Raises:
            FormatError: it is no nvc container's, or a field is missing, unknown or out of range.
        """
        try:
            outer, shard = metadata["chunk_grid"]["configuration"]["chunk_shape"], None
            codecs, chunk = metadata["codecs"], outer
            if codecs[0]["name"] == "sharding_indexed":
                sharding = codecs[0]["configuration"]
                codecs, chunk, shard = sharding["codecs"], sharding["chunk_shape"], outer
            is_container = metadata["zarr_format"] == 3 and codecs[0]["name"] == CODEC_NAME
        except (TypeError, KeyError, IndexError) as error:
            raise FormatError(f"the metadata are of no Zarr v3 array: {error!r}") from error
        if not is_container:
            raise FormatError("a Zarr array, but no nvc container: its codec is not `nvc`")
        try:
            header = cls(
                **read_configuration(codecs[0]["configuration"]),
                shape=check_shape(tuple(metadata["shape"])),
                dtype=metadata["data_type"],
                chunk=check_shape(tuple(chunk)),
                shard=None if shard is None else check_shape(tuple(shard)),
                dimension_names=tuple(metadata.get("dimension_names") or (None,) * 3),
                attributes=metadata.get("attributes", {}),
            )
            header.check(codecs[1:])
        except FormatError:
            raise
        except (TypeError, ValueError, KeyError) as error:
            raise FormatError(f"the metadata are damaged: {error}") from error
        return header

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


_CONFIGURED = {
    **{name: name for name in ("model", "sha256", "target", "minimum", "maximum")},
    "fill_values": "missing_values",
    **{name: name for name in ("max_error", "step", "fingerprint", "embedded")},
}
"""Names of the configuration's fields in the metadata, and of the attributes that hold them."""


def read_configuration(configuration: Any) -> dict[str, Any]:
    """The fields of a header that a codec's configuration states.

    Raises:
        FormatError: it is of another version.
        ValueError, TypeError, KeyError: a field is missing or unknown.
    """
    fields = dict(configuration)
    version = fields.pop("version", None)
    if version != FORMAT_VERSION:
        raise FormatError(f"`version` (={version!r}) must be {FORMAT_VERSION}: upgrade nvc_jax")
    if unknown := sorted(fields.keys() - set(_CONFIGURED)):
        raise ValueError(f"the configuration of `nvc` has unknown fields: {', '.join(unknown)}")
    fields["fill_values"] = tuple(fields["fill_values"])
    return {_CONFIGURED[name]: value for name, value in fields.items()}


def _divide_up(sides: Shape3, parts: Shape3) -> Shape3:
    return check_shape(tuple(math.ceil(side / part) for side, part in zip(sides, parts, strict=True)))
