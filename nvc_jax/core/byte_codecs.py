"""Bytes through the lossless codecs that TensorStore brings: Zstandard, Blosc, CRC-32C.

Each call writes an array of one Zarr chunk to memory and takes the chunk's bytes, so that what is stored is
what the Zarr codecs of that name define.
"""

from typing import Any

import numpy as np
import tensorstore as ts

_LEVEL = 9
_CHUNK = "c/0"


def _codecs(method: str, item_bytes: int) -> list[dict[str, Any]]:
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
    """An array of so many bytes in one chunk, and where its chunk is kept."""
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
    return bytes(chunks.read(_CHUNK).result().value)


def decode_bytes(packed: bytes, method: str, n_bytes: int) -> bytes:
    """The ``n_bytes`` bytes that ``pack`` encoded.

    Raises:
        ValueError: it did not encode so many, or what it encoded is damaged.
    """
    array, chunks = _open(method, n_bytes, 1)
    chunks.write(_CHUNK, packed).result()
    try:
        return np.asarray(array.read().result()).tobytes()
    except ValueError as error:
        raise ValueError(f"{len(packed)} bytes do not hold {n_bytes} bytes in {method}: {error}") from error
