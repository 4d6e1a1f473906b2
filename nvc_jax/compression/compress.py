"""A volume of any size to a container, chunk by chunk."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorstore as ts

from nvc_jax.chunks.rate_control import pick_evenly
from nvc_jax.chunks.value_range import has_valid_values, scan_volume
from nvc_jax.compression.objects import write_objects
from nvc_jax.compression.options import (
    ChunkLayout,
    check_part,
    check_source,
    check_target,
    choose_layout,
    model_name,
)
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.compression.result import CompressionResult
from nvc_jax.compression.value_options import check_exact_values, check_value_limits, check_within_limits
from nvc_jax.container import creation
from nvc_jax.container.destinations import check_apart, check_destination, check_stores_apart
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.container.model import describe_model
from nvc_jax.core.byte_codecs import crc32c
from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.core.chunk_grid import chunk_regions
from nvc_jax.core.chunk_interfaces import ChunkTarget, QualityTarget, ValueRange
from nvc_jax.core.jax_settings import in_own_settings
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.io.declared_values import DeclaredValues, read_declared_values
from nvc_jax.io.lazy import read_region
from nvc_jax.io.locations import Location
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata
from nvc_jax.models.checkpoints import FEWEST_DIGITS, find_shipped
from nvc_jax.models.codec import Codec, load_codec
from nvc_jax.models.embedded import embed_model
from nvc_jax.models.identity import model_sha256

_N_FINGERPRINTED = 4
"""Chunks of the source that its fingerprint is made of."""


@in_own_settings
def compress(
    source: Any,
    destination: Location,
    *,
    model: str | Path | Codec = DEFAULT_MODEL,
    max_error: float | None = None,
    relative_error: float | None = None,
    psnr: float | None = None,
    step: float | None = None,
    lossless: bool = False,
    missing_values: Sequence[float] = (),
    value_limits: tuple[float | None, float | None] | None = None,
    exact_values: Sequence[float] = (),
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    part: tuple[int, int] | None = None,
    resume: bool = False,
    on_progress: Callable[[ByteProgress], None] | None = None,
) -> CompressionResult:
    """Compress a volume, which may be larger than memory, into a container.

    At most one of ``max_error``, ``relative_error``, ``psnr``, ``step`` and ``lossless`` states the quality
    target. Without one, spectral models take a step of 0.01 and the paper's models leave their latents
    float32. The range is max − min of the values that are finite and not missing. NaN, infinities and missing
    values come back exactly.

    Args:
        source: a volume as ``nvc_jax.io.volumes.open_volume`` takes it, read chunk by chunk; the paper's
            models do not take 32 bit integers and float64.
        destination: directory of the container, a ``.zip`` file, a URL or a TensorStore spec; an existing
            Zarr store there is replaced.
        model: name of a shipped model, path of a checkpoint, or a codec. It is embedded in the container
            unless it ships with the package.
        max_error: largest difference allowed for any voxel, in the volume's units: those of the stored
            integers where a source states a slope and an offset.
        relative_error: largest difference allowed for any voxel, as a share of the range.
        psnr: dB to reach, within 0.1, relative to the range; margins blended.
        step: of the quantiser, as ``encode_volume`` takes it: for spectral models relative to the range,
            for the paper's in the unit of their latents.
        lossless: whether every bit comes back.
        missing_values: values that stand for no measurement, in addition to those that the source declares:
            ``_FillValue``, ``missing_value`` and what lies beyond ``valid_range``, ``valid_min`` or
            ``valid_max`` (CF conventions), GDAL's missing value in TIFF, the fill value of masked arrays. A
            value at an end of the range that takes 1 % of the voxels and lies far from all others is found
            without being named.
        value_limits: (smallest, largest) value that a voxel may decode to, None for no limit; all voxels
            that are not missing must lie within. ``(0, None)`` keeps values from becoming negative.
        exact_values: values that come back exactly, though they are measurements; 0 keeps zeros.
        chunks: (z, y, x) voxels of a chunk, the unit of reading: multiples of the model's block size;
            None for about 128³, or 64³ in volumes of more than 512³ voxels.
        shards: (z, y, x) voxels of a stored object, multiples of the chunk's; None for one object a chunk, or
            4³ chunks where there are more than 512.
        part: (i, n) for the i-th, from 0 on, of n processes that write one container with the same
            arguments, each its share of the objects. The last to finish completes it. A killed process
            writes its missing objects when it is called again.
        resume: whether to continue an interrupted run with the same arguments.
        on_progress: called after every chunk.

    Returns:
        Size, ratio and largest error of the container; or that it is not complete, where other writers
        have yet to write their parts.

    Raises:
        FileExistsError: ``destination`` is a directory that is no Zarr store.
        FileNotFoundError: there is no such source, model or directory to write to.
        TypeError: the dtype is not supported.
        ValueError: wrong chunks, bound, step or PSNR, more than one of them, a PSNR that the model does not
            reach on this volume, voxels beyond ``value_limits``, a volume of another rank, or an empty one.
    """
    check_destination(destination)
    check_apart(source, destination)
    check_source(source)
    if part is not None:
        check_part(part)
    limits = check_value_limits(value_limits)
    codec = model if isinstance(model, Codec) else load_codec(model)
    target = check_target(
        codec, max_error=max_error, relative_error=relative_error, psnr=psnr, step=step, lossless=lossless
    )

    volume = open_volume(source)
    check_stores_apart(volume, destination)
    dtype = volume.dtype.numpy_dtype
    codec.model.check_dtype(dtype)
    source_metadata = read_metadata(source)
    declared = read_declared_values(
        source_metadata.attributes, [*map(float, missing_values), *source_metadata.missing_values], dtype
    )
    exact = check_exact_values(exact_values, dtype)
    shape = check_shape(volume.shape)
    layout = choose_layout(shape, codec.config.block_size, chunks, shards)

    started = creation.find_started(destination) if part is not None else None
    value_range = dataclasses.replace(
        _find_range(volume, layout, declared, started), value_limits=limits, exact_values=exact
    )
    if has_valid_values(volume, layout.chunk, value_range):
        check_within_limits(value_range)
    encoder = codec.model.chunk_encoder(codec.params, volume, layout.chunk, value_range)
    if started is None:
        chunk_target = encoder.resolve(target)
    else:
        chunk_target = ChunkTarget(started.max_error, started.step)
    metadata = _make_metadata(
        volume, layout, value_range, target, chunk_target, codec, model_name(model), source_metadata
    )
    if part is not None and started is None and creation.is_complete(destination, metadata):
        # The others, and an earlier call for this part, have completed it.
        return CompressionResult.of_container(destination)

    def resolve() -> ChunkTarget:
        if metadata.max_error is None:  # of several first writers, all take the step of one
            return ChunkTarget(None, store.metadata.step)
        return chunk_target if started is None else encoder.resolve(target)

    with creation.create(destination, metadata, resume=resume, shared=part is not None) as store:
        skip_existing = resume or part is not None
        written = write_objects(
            store,
            encoder,
            resolve,
            part or (0, 1),
            skip_existing=skip_existing,
            on_progress=on_progress,
        )
    if part is None and written.n_skipped == 0:
        stored_bytes = len(metadata.to_text()) + written.stored_bytes
        return CompressionResult.complete(destination, metadata, stored_bytes, written.max_error)
    if part is None or creation.is_complete(destination, metadata):
        return CompressionResult.of_container(destination)
    return CompressionResult(destination, describe_model(metadata)[0], is_complete=False)


def _find_range(
    volume: ts.TensorStore, layout: ChunkLayout, declared: DeclaredValues, started: ContainerMetadata | None
) -> ValueRange:
    """Find the range of a volume: as other writers have stated it, or by a look at all values."""
    if started is None:
        value_range = scan_volume(volume, layout.chunk, declared.missing_values, declared.valid_limits)
    else:
        value_range = started.value_range
    # Of several writers each must declare the same.
    missing_values = tuple(dict.fromkeys((*declared.missing_values, *value_range.missing_values)))
    return dataclasses.replace(value_range, missing_values=missing_values, valid_limits=declared.valid_limits)


def _make_metadata(
    volume: ts.TensorStore,
    layout: ChunkLayout,
    value_range: ValueRange,
    target: QualityTarget,
    chunk_target: ChunkTarget,
    codec: Codec,
    name: str,
    source: VolumeMetadata,
) -> ContainerMetadata:
    """Put a container's metadata together."""
    sha256 = model_sha256(codec.config, codec.params)
    is_shipped = find_shipped(sha256) is not None
    return ContainerMetadata(
        shape=check_shape(volume.shape),
        dtype=str(volume.dtype.numpy_dtype),
        chunk=layout.chunk,
        shard=layout.shard,
        model=None if is_shipped else name,
        sha256=sha256[:FEWEST_DIGITS] if is_shipped else sha256,
        embedded=None if is_shipped else embed_model(codec.config, codec.params),
        target=target,
        minimum=value_range.low,
        maximum=value_range.high,
        missing_values=value_range.missing_values,
        valid_limits=value_range.valid_limits,
        value_limits=value_range.value_limits,
        exact_values=value_range.exact_values,
        max_error=chunk_target.max_error,
        step=None if chunk_target.max_error is not None else chunk_target.step,
        fingerprint=_fingerprint(volume, layout.chunk),
        dimension_names=source.dimension_names or ("z", "y", "x"),
        attributes=source.as_attributes(volume.dtype.numpy_dtype),
    )


def _fingerprint(volume: ts.TensorStore, chunk: Shape3) -> int:
    """CRC-32C of a few chunks of a volume."""
    regions = pick_evenly(chunk_regions(volume.shape, chunk), _N_FINGERPRINTED)
    return crc32c(b"".join(read_region(volume, region).tobytes() for region in regions))
