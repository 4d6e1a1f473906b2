"""Lossless codecs of bytes that TensorStore provides: Zstandard, Blosc, CRC-32C.

Each call writes an array of one Zarr chunk to memory and takes the bytes of the chunk. So the bytes are those
that the Zarr codec of that name defines.
"""

import struct
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.forks import check_fork

_LEVEL = 9
"""Compression level of Zstandard."""
_MAX_RATIO = 1 << 15
"""Bytes for each encoded byte,: a block of Zstandard takes 4 bytes or more and holds 128 KiB at most."""
_BLOSC_HEADER_BYTES = 16
"""Bytes of Blosc's header, which states at 4 the bytes that are held, and at 12 those of the encoded form."""
_CHUNK_KEY = "c/0"
"""Key under which Zarr stores the only chunk of an array of one axis."""


def _codecs(method: str, item_bytes: int) -> list[dict[str, Any]]:
    """Zarr metadata of the codecs that a method consists of."""
    blosc = {
        "cname": "zstd",
        "clevel": _LEVEL,
        "shuffle": "bitshuffle",
        "typesize": item_bytes,
        "blocksize": 0,
    }
    chains: dict[str, list[dict[str, Any]]] = {
        "zstd": [{"name": "zstd", "configuration": {"level": _LEVEL}}],
        "blosc": [{"name": "blosc", "configuration": blosc}],
        "crc32c": [{"name": "crc32c"}],
    }
    return chains[method]


def _open(method: str, n_bytes: int, item_bytes: int) -> tuple[ts.TensorStore, ts.KvStore]:
    """Create an array of ``n_bytes`` bytes in one chunk; also return the store that holds the chunk."""
    check_fork()
    spec = {
        "driver": "zarr3",
        "kvstore": "memory://",
        "store_data_equal_to_fill_value": True,
        "fill_missing_data_reads": False,
        "metadata": {
            "shape": [n_bytes],
            "data_type": "uint8",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [n_bytes]}},
            "codecs": [{"name": "bytes"}, *_codecs(method, item_bytes)],
        },
    }
    array = ts.open(spec, create=True, context=ts.Context()).result()
    assert array.kvstore is not None
    return array, array.kvstore


def encode_bytes(data: bytes, method: str, item_bytes: int = 1) -> bytes:
    """Encode bytes.

    Args:
        data: at least one byte.
        method: ``"zstd"``, ``"blosc"`` (bits shuffled, then Zstandard) or ``"crc32c"``, which appends four
            bytes.
        item_bytes: bytes of an element, for the shuffle.
    """
    array, chunks = _open(method, len(data), item_bytes)
    array.write(np.frombuffer(data, np.uint8)).result()
    return bytes(chunks.read(_CHUNK_KEY).result().value)


def decode_bytes(encoded: bytes, method: str, n_bytes: int) -> bytes:
    """Decode the ``n_bytes`` bytes that ``encode_bytes`` was given.

    Raises:
        ValueError: ``encoded`` is damaged, or holds another number of bytes.
    """
    if n_bytes > _MAX_RATIO * max(len(encoded), 8):
        raise ValueError(f"{len(encoded)} bytes cannot hold {n_bytes} bytes in {method}")
    if method == "blosc":
        _check_blosc(encoded, n_bytes)
    array, chunks = _open(method, n_bytes, 1)
    chunks.write(_CHUNK_KEY, encoded).result()
    try:
        return np.asarray(array.read().result()).tobytes()
    except ValueError as error:
        raise ValueError(f"{len(encoded)} bytes do not hold {n_bytes} bytes in {method}: {error}") from error


def _check_blosc(encoded: bytes, n_bytes: int) -> None:
    """Raise ``ValueError`` unless Blosc's header states the sizes that there are: it takes as much memory."""
    stated = struct.unpack_from("<I4xI", encoded, 4) if len(encoded) >= _BLOSC_HEADER_BYTES else None
    if stated != (n_bytes, len(encoded)):
        raise ValueError(
            f"{len(encoded)} bytes do not hold {n_bytes} bytes in blosc: the header states other sizes"
        )


def crc32c(data: bytes) -> int:
    """CRC-32C of at least one byte."""
    return int.from_bytes(encode_bytes(data, "crc32c")[-4:], "little")
