"""A volume of any size to a container, chunk by chunk."""

import contextlib
import dataclasses
import functools
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nvc_jax.chunks.value_range import has_valid_values
from nvc_jax.compression.group import compress_variable
from nvc_jax.compression.objects import chunks_of_part, write_objects
from nvc_jax.compression.options import check_part, check_source, check_types
from nvc_jax.compression.preparation import Preparation, ValueOptions, prepare
from nvc_jax.compression.progress import ByteProgress, report_start
from nvc_jax.compression.pyramid import check_whole, compress_pyramid
from nvc_jax.compression.result import CompressionResult
from nvc_jax.compression.shared_scan import check_noted, scan_share
from nvc_jax.compression.source import check_part_of_source, fingerprint, to_bytes
from nvc_jax.compression.value_options import check_within_limits
from nvc_jax.container import creation
from nvc_jax.container.begun import Begun, Claim
from nvc_jax.container.destinations import check_apart, check_destination, check_stores_apart
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.container.model import describe_model
from nvc_jax.container.notes import Notes
from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.core.chunk_interfaces import ChunkEncoder, ChunkTarget, QualityTarget
from nvc_jax.core.jax_settings import in_own_settings
from nvc_jax.core.shapes import check_array_shape
from nvc_jax.io.chunked_stores import without_useless_cache
from nvc_jax.io.locations import Location
from nvc_jax.io.zarr_group import split_variable
from nvc_jax.models.codec import Codec

_ALONE = (0, 1)
"""Part of a writer that writes the whole container."""


@in_own_settings
def compress(
    source: Any,
    destination: Location,
    *,
    model: str | Path | Codec = DEFAULT_MODEL,
    max_error: float | None = None,
    relative_error: float | None = None,
    pointwise_error: float | None = None,
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
    pyramid: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[ByteProgress], None] | None = None,
) -> CompressionResult:
    """Compress a volume, which may be larger than memory, into a container.

    At most one of ``max_error``, ``relative_error``, ``pointwise_error``, ``psnr``, ``step`` and ``lossless``
    states the quality target. Without one, spectral models keep a ``relative_error`` of 1e-3, and the paper's
    models leave their latents float32. Integers that evidently are labels (see ``labels``) are lossless
    without one, and bool always is: that keeps to any target. The range is max − min of the values that are
    finite and not missing. NaN, infinities and missing values come back exactly.

    Args:
        source: a volume as ``nvc_jax.io.volumes.open_volume`` takes it, read chunk by chunk; the paper's
            models do not take bool, integers of 32 and 64 bits, and float64.
        destination: directory of the container, a ``.zip`` file, a URL or a TensorStore spec. A container
            that lies there is replaced; anything else only with ``overwrite``. ``GROUP.zarr::NAME`` makes a
            Zarr group of the container ``NAME`` and arrays of its coordinates, for ``xarray.open_zarr``.
        model: name of a shipped model, path of a checkpoint, or a codec. It is embedded in the container
            unless it ships with the package.
        max_error: largest difference allowed for any voxel, in the volume's units: those of the stored
            integers where a source states a slope and an offset.
        relative_error: largest difference allowed for any voxel, as a share of the range.
        pointwise_error: largest difference allowed for any voxel, as a share of its own magnitude, above 0
            and below 1. Zeros and signs come back exactly.
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
        chunks: voxels of a chunk along each axis, the unit of reading: multiples of the model's block size,
            or 1; at most three are more than 1. None for about 128³, or 64³ in volumes of more than 512³
            voxels, of one step or channel: axes whose names say that they are of time or channels, or else
            all but the last three, have chunks of 1.
        shards: voxels of a stored object along each axis, multiples of the chunk's; None for one object a
            chunk, or 4³ chunks where there are more than 512.
        part: (i, n) for the i-th, from 0 on, of n processes that write one container with the same
            arguments, each its share of the objects. The last to finish completes it. A killed process
            writes its missing objects when it is called again. (0, 1) is a process that writes all.
        resume: whether to continue an interrupted run with the same arguments and the same source.
        pyramid: whether to write an OME-Zarr image, ``destination`` ending in ``.ome.zarr``, with levels of
            half the resolution each: means of 2³ voxels, of labels the most frequent one, each level under
            the target. ``open``, ``info``, ``verify`` and ``decompress`` take the image for its first level.
        overwrite: whether to replace a file, or a directory that is a Zarr array, at ``destination``. A
            directory with anything else in it is never replaced.
        on_progress: called before the first chunk, unless ``part`` is given, and after every one.

    Returns:
        Size, ratio and largest error of the container; or that it is not complete, where other writers
        have yet to write their parts.

    Raises:
        BlockingIOError: another run is writing to ``destination``.
        FileExistsError: something lies at ``destination`` that is not replaced.
        FileNotFoundError: there is no such source, model or directory to write to.
        TypeError: the dtype is not supported.
        ValueError: wrong chunks, bound, step or PSNR, more than one of them, a PSNR that the model does not
            reach on this volume, voxels beyond ``value_limits``, a volume of another rank, or an empty one;
            or a source that is not the one of the run that is continued.
    """
    switches = {"resume": resume, "pyramid": pyramid, "overwrite": overwrite}
    check_types({"destination": destination}, on_progress, **switches)
    asked, variable = destination, None
    if isinstance(destination, str | Path):
        group, variable = split_variable(destination)
        destination = destination if variable is None else group
    check_apart(source, destination)
    check_source(source)
    check_destination(destination, overwrite)
    if part is not None:
        check_part(part)
    whole = check_whole(destination, asked, part=part, resume=resume, pyramid=pyramid, variable=variable)
    bounds = {"max_error": max_error, "relative_error": relative_error, "pointwise_error": pointwise_error}
    options = bounds | {"psnr": psnr, "step": step, "lossless": lossless}
    values = ValueOptions(missing_values, value_limits, exact_values)
    if whole is not None:
        given = {**options, **values._asdict(), "chunks": chunks, "shards": shards, "model": model}
        compress_array = functools.partial(compress, on_progress=on_progress, **given)
        if variable is not None:
            return compress_variable(compress_array, source, whole, variable, overwrite=overwrite)
        return compress_pyramid(compress_array, source, whole, overwrite=overwrite)
    prepared = prepare(source, model, values, **options)
    check_stores_apart(prepared.volume, destination)
    job = _Job(prepared, chunks, shards, part, resume, on_progress)
    with creation.claim(destination, shared=part is not None, overwrite=overwrite) as claim:
        begun = claim.find_begun() if part is not None else None
        with claim.notes() if begun is None else contextlib.nullcontext() as notes:
            return _compress_into(claim, begun, notes, destination, job)


@dataclasses.dataclass(frozen=True)
class _Job:
    """Checked options of ``compress``."""

    prepared: Preparation
    chunks: Sequence[int] | None
    shards: Sequence[int] | None
    part: tuple[int, int] | None
    resume: bool
    on_progress: Callable[[ByteProgress], None] | None


def _compress_into(
    claim: Claim, begun: Begun | None, notes: Notes | None, destination: Location, job: _Job
) -> CompressionResult:
    """Compress a volume into a container whose place is claimed, and which other writers may have begun."""
    prepared, part = job.prepared, job.part
    shape = check_array_shape(prepared.volume.shape)
    codec, layout = prepared.codec, prepared.choose_layout(job.chunks, job.shards)
    volume = without_useless_cache(prepared.volume, layout.chunk)

    if begun is None:
        scan = scan_share(volume, layout.chunk, prepared.rules.declared, part, notes)
        value_range = scan.value_range
        source_fingerprint: int | None = fingerprint(scan.checksums)
    else:
        first = begun.store.metadata
        value_range, source_fingerprint = first.value_range, first.fingerprint
        if (first.shape, first.chunk, first.shard) == (shape, *layout):  # or `create` says what differs
            check_part_of_source(volume, begun, chunks_of_part(begun.store, part or _ALONE))
    value_range = prepared.rules.add_to(value_range)
    if has_valid_values(volume, layout.chunk, value_range):
        check_within_limits(value_range)
    report_start(None if part else job.on_progress, volume, layout.chunk)
    encoder = codec.model.chunk_encoder(codec.params, volume, layout.chunk, value_range)
    target = prepared.target
    make_metadata = functools.partial(
        prepared.make_metadata, layout, value_range, source_fingerprint=source_fingerprint
    )
    if begun is None:
        chunk_target = _resolve(encoder, target, notes, make_metadata)
    else:
        chunk_target = _target_by(first.step, target, first.max_error)
    metadata = make_metadata(chunk_target=chunk_target)
    if part is not None and begun is None and creation.is_complete(destination, metadata):
        # The others, and an earlier call for this part, have completed it.
        return CompressionResult.of_container(destination)

    def resolve() -> ChunkTarget:
        if not metadata.is_bounded:  # of several first writers, all take the step of one
            resolved = _target_by(store.metadata.step, target)
        else:
            resolved = chunk_target if begun is None else encoder.resolve(target)
        encoder.learn(resolved)
        return resolved

    stored_checksums = b"" if begun is not None else to_bytes(scan.checksums)
    with claim.create(metadata, resume=job.resume, checksums=stored_checksums) as store:
        if begun is None:
            check_noted(volume, scan, chunks_of_part(store, part or _ALONE), store)
        skip_existing = job.resume or part is not None
        written = write_objects(
            store, encoder, resolve, part or _ALONE, skip_existing=skip_existing, on_progress=job.on_progress
        )
    if part is None and written.n_skipped == 0:
        stored_bytes = len(metadata.to_text()) + written.stored_bytes
        return CompressionResult.complete(destination, metadata, stored_bytes, written.max_error)
    if part is None or creation.is_complete(destination, metadata):
        return CompressionResult.of_container(destination)
    return CompressionResult(destination, describe_model(metadata)[0], is_complete=False)


def _resolve(
    encoder: ChunkEncoder,
    target: QualityTarget,
    notes: Notes | None,
    make_metadata: Callable[..., ContainerMetadata],
) -> ChunkTarget:
    """Find the target of every chunk. A PSNR, for which all chunks are encoded, one writer finds for all."""
    if notes is None or "psnr" not in target:
        return encoder.resolve(target)
    described = make_metadata(chunk_target=ChunkTarget(None, None)).to_text()
    step = notes.once(f"step-{zlib.crc32(described.encode()):08x}", lambda: _step_text(encoder, target))
    return _target_by(float(step), target)


def _target_by(step: float | None, target: QualityTarget, max_error: float | None = None) -> ChunkTarget:
    """Target of every chunk by the step, and the bound, that a first writer found for a target."""
    return ChunkTarget(max_error, step, is_spread="psnr" in target)


def _step_text(encoder: ChunkEncoder, target: QualityTarget) -> bytes:
    """Find the step of a PSNR, as a note holds it."""
    return repr(encoder.resolve(target).step).encode()
