"""What a container holds, costs and keeps: ``evaluate``, ``verify``, ``describe``."""

import math
from typing import Any

import numpy as np

from nvc_jax.chunks.special_values import as_bits, valid_mask
from nvc_jax.container.metadata import FORMAT_VERSION, FormatError
from nvc_jax.container.reader import Reader
from nvc_jax.container.store import Index, open_container
from nvc_jax.core.chunk_grid import chunk_region, full_region
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.evaluation.metrics import bits_per_voxel, quality
from nvc_jax.io.lazy import read_part
from nvc_jax.io.locations import Location
from nvc_jax.io.volumes import open_volume, read_volume


def evaluate(original: Any, store: Location, *, mode: str = "blend") -> dict[str, float]:
    """Measure what a container costs and how near it comes to the original.

    Args:
        original: the volume that was compressed.
        store: the container: a directory, a ``.zip`` file, a URL or a TensorStore spec.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.

    Returns:
        ``bits_per_voxel``, ``ratio``, ``mse``, ``psnr_db``, ``max_error`` (in the volume's units) and
        ``ssim``; every stored byte counts. PSNR is relative to max − min of the original. Values that are
        not finite, and fill values, are left out.

    Raises:
        FileNotFoundError: there is no such original or store.
        FormatError: the store is damaged or no container.
        ValueError: the two are not of one shape, or the mode is unknown.
    """
    reader = Reader(store, mode)
    values = read_volume(original)
    decoded = reader.decode(full_region(reader.shape), map_in_order)
    n_bytes = reader.store.stored_bytes()
    if not reader.header.missing_values:
        return quality(values, decoded, n_bytes)
    known = np.where(valid_mask(values, reader.header.missing_values), values, np.nan)
    return quality(known, decoded, n_bytes) | {"ratio": values.nbytes / n_bytes}


def verify(store: Location, original: Any = None) -> dict[str, Any]:
    """Read and decode every chunk of a container; compare it with the original if that is given.

    Args:
        store: the container: a directory, a ``.zip`` file, a URL or a TensorStore spec.
        original: the volume that was compressed, or None.

    Returns:
        ``chunks``, how many; ``max_error``, the largest that the chunks state, in the volume's units; with an
        original also ``measured_max_error``.

    Raises:
        FileNotFoundError: there is no such original or store.
        FormatError: a chunk is missing or damaged, or lies further from the original than the container
            promises, or a value that is to come back exactly does not.
        ValueError: the original is of another shape or dtype.
    """
    reader = Reader(store)
    header = reader.header
    values = None if original is None else open_volume(original)
    if values is not None and (values.shape, str(values.dtype.numpy_dtype)) != (header.shape, header.dtype):
        raise ValueError(
            f"`original` is {values.dtype.numpy_dtype} {values.shape}; the store holds {header.dtype} "
            f"{header.shape}"
        )

    def check(index: Index) -> tuple[float, float]:
        decoded = reader.decode_chunk(index)
        stated = reader.store.read_payload(index).max_error
        if values is None:
            return stated, 0.0
        place = chunk_region(index, header.chunk, header.shape)
        return stated, _compare(reader, index, read_part(values, place), decoded)

    errors = list(map_in_order(check, reader.store.chunks()))
    stated, measured = (max(column) for column in zip(*errors, strict=True))
    found = {"chunks": len(errors), "max_error": stated}
    return found if values is None else found | {"measured_max_error": measured}


def _compare(reader: Reader, index: Index, original: np.ndarray, decoded: np.ndarray) -> float:
    """Largest error of a chunk; ``FormatError`` if it breaks a promise."""
    header = reader.header
    valid = valid_mask(original, header.missing_values)
    exact = ~valid if header.max_error != 0 else np.ones_like(valid)
    if (as_bits(original)[exact] != as_bits(decoded)[exact]).any():
        raise FormatError(f"chunk {index} of `{reader.store.name}` does not restore every value exactly")
    errors = np.abs(original[valid].astype(np.float64) - decoded[valid].astype(np.float64))
    largest = float(errors.max(initial=0.0))
    if header.max_error is not None and not largest <= header.max_error:
        raise FormatError(
            f"chunk {index} of `{reader.store.name}` is wrong by {largest}; the bound is {header.max_error}"
        )
    return largest


def describe(store: Location) -> dict[str, Any]:
    """What a container's metadata, files and chunks' heads say, without decoding: JSON-ready.

    Raises:
        FileNotFoundError: there is no such store.
        FormatError: the store's metadata are damaged, or it is no container, or a chunk is missing.
    """
    opened = open_container(store)
    header = opened.header
    n_voxels = math.prod(header.shape)
    n_bytes = opened.stored_bytes()
    return {
        "shape": list(header.shape),
        "dtype": header.dtype,
        "chunk": list(header.chunk),
        "shard": None if header.shard is None else list(header.shard),
        "version": FORMAT_VERSION,
        "model": header.model,
        "sha256": header.sha256,
        "target": header.target,
        "bound": header.max_error,
        "step": header.step,
        "minimum": header.minimum,
        "maximum": header.maximum,
        "fill_values": list(header.missing_values),
        "max_error": max(opened.read_payload(index).max_error for index in opened.chunks()),
        "stored_bytes": n_bytes,
        "bits_per_voxel": bits_per_voxel(n_bytes, n_voxels),
        "ratio": n_voxels * np.dtype(header.dtype).itemsize / n_bytes,
    }
