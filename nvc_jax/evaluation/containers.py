"""Reports on a container: metadata and size, quality against the original, integrity, and a preview."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.container.configuration import FORMAT_VERSION
from nvc_jax.container.images import coarser_levels
from nvc_jax.container.metadata import METADATA_KEY, ContainerMetadata, FormatError
from nvc_jax.container.model import describe_model
from nvc_jax.container.reader import Reader
from nvc_jax.container.store import open_container
from nvc_jax.core.chunk_grid import ChunkIndex, chunk_region, full_region
from nvc_jax.core.chunk_interfaces import NO_LIMITS
from nvc_jax.core.concurrency import map_batches_on_devices, map_in_order
from nvc_jax.core.errors import largest_pointwise_error
from nvc_jax.core.jax_settings import in_own_settings
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import N_SPATIAL, spatial_axes, spatial_shape
from nvc_jax.evaluation.chunk_checks import check_chunk, check_stated_error, mark_valid
from nvc_jax.evaluation.metrics import bits_per_voxel, quality
from nvc_jax.io.lazy import read_region
from nvc_jax.io.locations import Location, local_path
from nvc_jax.io.volumes import open_volume, read_volume

_MOST_CHUNKS, _MOST_BYTES = 4096, 256 << 20
"""Chunks and bytes of which ``info`` reads all: it takes less than a second."""
_RULES = ("valid_limits", "value_limits", "exact_values")
"""Rules of the values of a container that are reported where it has them."""


def info(container: Location) -> dict[str, Any]:
    """Report the metadata and the stored size of a container, without decoding.

    Args:
        container: a directory, a ``.zip`` file, a URL or a TensorStore spec.

    Returns:
        A dictionary that JSON can hold. ``max_error`` is the largest error that a chunk states, in the
        volume's units; None for a container of more than 4096 chunks or 256 MiB, whose chunks are not read
        (``verify`` reads them). ``bound`` is the largest error allowed, None if there is no bound. ``ratio``
        is the raw size over ``stored_bytes``. Of an image with several levels these are figures of the
        finest, and ``levels`` are the shapes of all. ``valid_limits``, ``value_limits`` and ``exact_values``
        are there if the container has them.

    Raises:
        FileNotFoundError: there is no such container.
        FormatError: the metadata are damaged, the location holds no container, or a chunk is missing.
    """
    store = open_container(container)
    metadata = store.metadata
    model, sha256 = describe_model(metadata)
    n_voxels = math.prod(metadata.shape)
    n_bytes = store.stored_bytes()
    is_small = math.prod(metadata.chunk_grid) <= _MOST_CHUNKS and n_bytes <= _MOST_BYTES
    report: dict[str, Any] = {
        "shape": list(metadata.shape),
        "dtype": metadata.dtype,
        "chunk": list(metadata.chunk),
        "shard": None if metadata.shard is None else list(metadata.shard),
        "version": FORMAT_VERSION,
        "model": model,
        "sha256": sha256,
        "target": metadata.target,
        "bound": metadata.max_error,
        "step": metadata.step,
        "minimum": metadata.minimum,
        "maximum": metadata.maximum,
        "fill_values": list(metadata.missing_values),
        "max_error": store.largest_stated_error() if is_small else None,
        "stored_bytes": n_bytes,
        "bits_per_voxel": bits_per_voxel(n_bytes, n_voxels),
        "ratio": n_voxels * np.dtype(metadata.dtype).itemsize / n_bytes,
    }
    if coarser := coarser_levels(container):
        report["levels"] = [list(open_container(level).metadata.shape) for level in (container, *coarser)]
    stated = metadata.configuration()
    return report | {name: stated[name] for name in _RULES if name in stated}


@in_own_settings
def evaluate(original: Any, container: Location, *, mode: str = "blend") -> dict[str, float]:
    """Measure the size of a container and its quality against the original.

    Values that are not finite and missing values do not count.

    Args:
        original: the volume that was compressed; any source that ``open_volume`` reads.
        container: a directory, a ``.zip`` file, a URL or a TensorStore spec.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.

    Returns:
        ``bits_per_voxel``, ``ratio``, ``mse``, ``psnr_db``, ``max_error`` (in the volume's units) and
        ``ssim``, of more than three axes the mean of all steps'. Every stored byte counts. PSNR is relative
        to max − min of the original. Of a container with a pointwise bound also ``pointwise_error``, the
        largest error relative to a value's own magnitude.

    Raises:
        FileNotFoundError: there is no such original or container.
        FormatError: the container is damaged, or the location holds none.
        ValueError: the two shapes differ, or the mode is unknown.
    """
    reader = open_reader(original, container, mode)
    volume = open_volume(original)
    if volume.shape != reader.shape:  # before memory is taken for either
        raise ValueError(f"`original` has shape {volume.shape}; the container holds {reader.shape}")
    values = read_volume(volume)
    decoded = reader.decode(full_region(reader.shape), on_devices=True)
    n_bytes = reader.store.stored_bytes()
    metadata = reader.metadata
    has_rules = bool(metadata.missing_values) or metadata.valid_limits != NO_LIMITS
    valid = mark_valid(values, metadata) if has_rules else None
    pointwise_error = None
    if metadata.pointwise_error is not None and values.dtype == decoded.dtype:
        pointwise_error = largest_pointwise_error(values, decoded, mark_valid(values, metadata))
    if values.ndim != N_SPATIAL:
        values, decoded = _as_steps(values, metadata.chunk), _as_steps(decoded, metadata.chunk)
        valid = None if valid is None else _as_steps(valid, metadata.chunk)
    measures = quality(values, decoded, n_bytes, valid=valid)
    return measures if pointwise_error is None else measures | {"pointwise_error": pointwise_error}


def _as_steps(values: np.ndarray, chunk: Shape) -> np.ndarray:
    """Return the volumes of the steps of an array along the axes that are not spatial: (step, z, y, x)."""
    axes = spatial_axes(chunk)
    others = [axis for axis in range(values.ndim) if axis not in axes]
    return values.transpose(*others, *axes).reshape(-1, *spatial_shape(values.shape, chunk))


def verify(original: Any | None, container: Location) -> dict[str, Any]:
    """Decode every chunk of a container and compare it with the original, chunk by chunk.

    Args:
        original: the volume that was compressed, any source that ``open_volume`` reads; None to decode only.
        container: a directory, a ``.zip`` file, a URL or a TensorStore spec.

    Returns:
        ``chunks``, the number of chunks; ``levels``, where it is an image with several, all of which are
        decoded and the finest compared; ``bound``, the largest error allowed, None if there is no bound, and
        ``max_error``, the largest error that a chunk states, both in the volume's units; and, if there is an
        original, ``measured_max_error``; and, if the container has a pointwise bound,
        ``measured_pointwise_error``, relative to each value's own magnitude.

    Raises:
        FileNotFoundError: there is no such original or container.
        FormatError: a chunk is missing or damaged, its error exceeds the bound of the container or is not the
            one that it states, or a value that the container promises to restore exactly differs.
        ValueError: the original has another shape or dtype.
    """
    reader = open_reader(original, container)
    metadata = reader.metadata
    volume = None if original is None else open_volume(original)
    if volume is not None:
        check_same_type(volume.shape, volume.dtype.numpy_dtype, metadata)

    def chunk_errors(item: tuple[ChunkIndex, np.ndarray]) -> tuple[float, float, float]:
        """Stated, measured and pointwise error of a chunk."""
        index, decoded = item
        stated_error = reader.store.read_payload(index).max_error
        if volume is None:
            return stated_error, 0.0, 0.0
        values = read_region(volume, chunk_region(index, metadata.chunk, metadata.shape))
        measured_error, pointwise_error = check_chunk(reader, index, values, decoded)
        check_stated_error(reader, index, stated_error, measured_error)
        return stated_error, measured_error, pointwise_error

    def errors_of(indices: list[ChunkIndex]) -> list[tuple[float, float, float]]:
        """Errors of chunks that are decoded together."""
        items = list(zip(indices, reader.decode_chunks(indices), strict=True))
        return list(map(chunk_errors, items) if len(items) == 1 else map_in_order(chunk_errors, items))

    errors = list(map_batches_on_devices(errors_of, reader.store.chunks(), reader.batch_size))
    stated, measured, pointwise = (max(column) for column in zip(*errors, strict=True))
    report: dict[str, Any] = {"chunks": len(errors), "bound": metadata.max_error, "max_error": stated}
    if coarser := coarser_levels(container):
        for level in coarser:
            verify(None, level)
        report["levels"] = 1 + len(coarser)
    if volume is not None:
        report["measured_max_error"] = measured
        if metadata.pointwise_error is not None:
            report["measured_pointwise_error"] = pointwise
    return report


def open_reader(original: Any, container: Location, mode: str = "blend") -> Reader:
    """Open a container; where it is none and ``original`` is one, the error says so."""
    is_container = isinstance(original, str | Path) and _is_container(original)
    try:
        reader = Reader(container, mode)
    except FormatError as error:
        if not is_container:
            raise
        raise FormatError(
            f"`original` (={original}) is a container, and `container` (={container}) is none: "
            "the volume comes first, the container second"
        ) from error
    if is_container:
        raise ValueError(
            f"`original` (={original}) is a container itself: decompress it first, or pass what "
            "`nvc_jax.open` returns"
        )
    return reader


def _is_container(location: str | Path) -> bool:
    """Tell whether a path is that of a container."""
    path = local_path(location)
    if path is None or not ((path / METADATA_KEY).is_file() or path.suffix == ".zip"):
        return False
    try:
        open_container(path)
    except (ValueError, OSError):
        return False
    return True


def preview(container: Location) -> np.ndarray:
    """Decode the coarse version of a volume: the mean of every block of 8³ voxels.

    The means are approximate where they are stored quantised; the rest of each chunk is not decoded.

    Args:
        container: a directory, a ``.zip`` file, a URL or a TensorStore spec.

    Returns:
        Means in the volume's dtype; each side is an eighth of the volume's, rounded up, but along axes of
        which chunks hold one step.

    Raises:
        FileNotFoundError: there is no such container.
        FormatError: the container is damaged, or the location holds none.
        ValueError: the sides of the container's chunks are no multiples of 8.
    """
    reader = Reader(container, level="preview")
    return reader.decode(full_region(reader.shape), on_devices=True)


def check_same_type(shape: tuple[int, ...], dtype: np.dtype, metadata: ContainerMetadata) -> None:
    """Raise ``ValueError`` unless an original has the shape and the dtype of a container."""
    if (shape, str(dtype)) != (metadata.shape, metadata.dtype):
        raise ValueError(
            f"`original` is {dtype} {shape}; the container holds {metadata.dtype} {metadata.shape}"
        )
