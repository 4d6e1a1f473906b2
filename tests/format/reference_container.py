"""Metadata and chunks of the reference decoder: section 4 of ``FORMAT.md``."""

import json
import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from reference_common import LONG_DTYPES, Shape, require

TARGETS = (
    *("max_error", "relative_error", "pointwise_error", "psnr", "lossless", "latents", "relative_step"),
)


class Metadata(NamedTuple):
    """The parts of a container's metadata that decoding and checks need."""

    shape: Shape
    dtype: np.dtype
    chunk_shape: Shape
    configuration: dict[str, Any]
    minimum: float
    maximum: float
    max_error: float | None
    step: float | None
    identity: bytes


def read_metadata(path: Path) -> Metadata:
    """Read the ``zarr.json`` of a container without shards (4.2), and check it."""
    document = json.loads((path / "zarr.json").read_text())
    (codec,) = document["codecs"]
    configuration, dtype = codec["configuration"], np.dtype(document["data_type"])
    chunk_shape = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
    require(configuration.get("version", 1) == 1, "the version is another")
    shape = tuple(configuration.get("shape", chunk_shape))
    require(tuple(document["shape"]) == shape, "the shapes differ")
    require(2 <= len(shape) == len(chunk_shape) <= 5, "a shape has another number of axes")
    require(identify(configuration, chunk_shape, dtype) == configuration["id"], "the metadata are damaged")
    number = int if dtype in LONG_DTYPES else float
    low, high = (number(dtype.type(value)) for value in configuration["range"])
    bound, step = derive(configuration, high - low)
    return Metadata(
        shape,
        dtype,
        chunk_shape,
        configuration,
        low,
        high,
        configuration.get("bound", bound),
        configuration.get("step", step),
        bytes.fromhex(configuration["id"]),
    )


def derive(configuration: dict[str, Any], width: float) -> tuple[float | None, float | None]:
    """Derive the bound and the step from the target (4.3)."""
    names = [name for name in TARGETS if name in configuration]
    require(len(names) <= 1, "there are several targets")
    name = names[0] if names else "step"
    value = configuration[name]
    bounds = {"max_error": value, "relative_error": value * width, "lossless": 0}
    return bounds.get(name), value * width if name == "relative_step" else None


def identify(configuration: dict[str, Any], chunk_shape: Shape, dtype: np.dtype) -> str:
    """Compute the field ``id`` (4.3)."""

    def spell(value: Any) -> Any:
        if isinstance(value, list):
            return [spell(entry) for entry in value]
        if isinstance(value, int) and float(value) != value:
            return str(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return struct.pack("<d", value).hex() if is_number else value

    fields = {key: spell(value) for key, value in configuration.items() if key not in ("version", "embedded")}
    fields |= {"chunk_shape": spell(list(chunk_shape)), "data_type": dtype.name, "id": fields["id"][:8]}
    text = json.dumps(dict(sorted(fields.items())), separators=(",", ":"))
    return f"{fields['id']}{crc32c(text.encode()):08x}"


def open_chunk(stored: bytes, metadata: Metadata, index: Shape) -> bytes:
    """Check a chunk and return its payload (4.4)."""
    require(len(stored) > 4, "a chunk is too short")
    number = 0
    for i, side, part in zip(index, metadata.shape, metadata.chunk_shape, strict=True):
        number = number * math.ceil(side / part) + i
    (checksum,) = struct.unpack("<I", stored[-4:])
    expected = crc32c(stored[:-4] + metadata.identity) ^ number % 2**32
    require(checksum == expected, "a chunk is damaged, or not of this place and container")
    return stored[:-4]


def spatial_shape(sides: Shape, chunk_shape: Shape) -> Shape:
    """Return the spatial shape of a part of a chunk (4.5)."""
    spatial = [side for side, whole in zip(sides, chunk_shape, strict=True) if whole > 1]
    require(len(spatial) <= 4, "a chunk has too many axes")
    return (*[1] * (3 - len(spatial)), *spatial[-3:])


def count_steps(sides: Shape, chunk_shape: Shape) -> int:
    """Return the steps of a part of a chunk along the step axis; 1 without one (4.5)."""
    long = [side for side, whole in zip(sides, chunk_shape, strict=True) if whole > 1]
    return long[0] if len(long) == 4 else 1


def crc32c(data: bytes) -> int:
    """Return the CRC-32C, byte by byte."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder = remainder >> 8 ^ CRC_TABLE[(remainder ^ byte) & 255]
    return remainder ^ 0xFFFFFFFF


def crc_entry(remainder: int) -> int:
    """Return the remainder after eight steps, bit by bit."""
    for _ in range(8):
        remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder


CRC_TABLE = [crc_entry(byte) for byte in range(256)]
