"""Volumes to containers and back, chunk by chunk: ``compress``, ``decompress``, ``open``."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.autoencoder.chunk_encoder import ChunkedLatents
from nvc_jax.chunks.rate_control import pick_evenly
from nvc_jax.chunks.spectral_chunk import Target
from nvc_jax.chunks.value_range import ValueRange, find_value_range
from nvc_jax.chunks.volume_encoder import ChunkedVolume
from nvc_jax.compression.destinations import check_apart, check_stores_apart
from nvc_jax.compression.options import (
    DEFAULT_MODEL,
    check_chunk,
    check_part,
    check_shard,
    check_target,
    default_chunk,
    default_shard,
    model_name,
)
from nvc_jax.compression.progress import Progress
from nvc_jax.container import creation
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.container.store import Index, Store
from nvc_jax.core.byte_codecs import encode_bytes
from nvc_jax.core.chunk_grid import chunk_region, chunk_regions, chunk_valid_shape
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.dtypes import check_device_dtype
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.io.lazy import read_part
from nvc_jax.io.locations import Location
from nvc_jax.io.volumes import open_volume, read_metadata
from nvc_jax.models.checkpoints import embed_model, find_checkpoint, model_sha256
from nvc_jax.models.codec import Codec, load_codec
from nvc_jax.spectral.config import SpectralConfig

_SURVEY_SIDE = 128
_N_FINGERPRINTED = 4


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
    chunk: Shape3 | None = None,
    shard: Shape3 | None = None,
    part: tuple[int, int] | None = None,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> bool:
    """Compress a volume, which may be larger than memory, into a container.

    At most one of ``max_error``, ``relative_error``, ``psnr``, ``step`` and ``lossless`` says what to keep
    to; without one, spectral models take a step of 0.01 and the paper's models leave their latents float32.
    The range is max − min of what is finite and no fill value. NaN, infinities and fill values are kept
    exactly.

    Args:
        source: a volume as ``nvc_jax.io.volumes.open_volume`` takes it, read chunk by chunk; the paper's
            models do not take 32 bit integers and float64.
        destination: directory of the container, a ``.zip`` file, a URL or a TensorStore spec; an existing
            Zarr store there is replaced.
        model: name of a shipped model, path of a checkpoint, or a codec. It is kept in the container
            unless it ships with the package.
        max_error: no voxel differs by more, in the volume's units.
        relative_error: no voxel differs by more than this share of the range.
        psnr: dB to reach, within 0.1, relative to the range; margins blended.
        step: of the quantiser, as ``encode_volume`` takes it: for spectral models relative to the range,
            for the paper's in the unit of their latents.
        lossless: every bit comes back.
        missing_values: values that stand for what is missing. A value at an end of the range that stands for
            1 % of the volume, far from all others, is found without being named.
        chunk: (z, y, x) voxels to a chunk, the unit of reading: multiples of the model's block size;
            None for about 128³, or 64³ in volumes of more than 512³ voxels.
        shard: (z, y, x) voxels to a stored object, multiples of the chunk's; None for one object a chunk, or
            4³ chunks where there are more than 512.
        part: (i, n) for the i-th, from 0 on, of n processes that write one container with the same
            arguments, each its share of the objects. Who comes last completes it. What a killed process
            has not written, it writes when it is called again.
        resume: go on with what an interrupted run with the same arguments left.
        on_progress: called after every chunk.

    Returns:
        Whether the container is whole: False where other writers have yet to write their parts.

    Raises:
        FileExistsError: ``destination`` is a directory that is no Zarr store.
        FileNotFoundError: there is no such source, model or directory to write to.
        TypeError: the dtype is not supported.
        ValueError: a wrong chunk, bound, step or PSNR, more than one of them, a PSNR that the model does not
            reach on this volume, a volume of another rank, or an empty one.
    """
    creation.check_destination(destination)
    check_apart(source, destination)
    if part is not None:
        check_part(part)
    missing_values = tuple(map(float, missing_values))
    codec = model if isinstance(model, Codec) else load_codec(model)
    asked = check_target(
        codec, max_error=max_error, relative_error=relative_error, psnr=psnr, step=step, lossless=lossless
    )
    volume = open_volume(source)
    shape, block_size = check_shape(volume.shape), codec.config.block_size
    check_stores_apart(volume, destination)
    chunk, shard = _layout(shape, block_size, chunk, shard)
    if not isinstance(codec.config, SpectralConfig):
        check_device_dtype(volume.dtype.numpy_dtype)
    about, sha256 = read_metadata(source), model_sha256(codec.config, codec.params)
    begun = creation.find_started(destination) if part is not None else None
    found = _survey(volume, chunk, missing_values) if begun is None else _known(begun)
    coder = (ChunkedVolume if isinstance(codec.config, SpectralConfig) else ChunkedLatents)(
        codec, volume, chunk, found
    )
    bounds = {"max_error": begun.max_error, "step": begun.step} if begun else _bounds(coder, found, asked)
    header = ContainerMetadata(
        shape=shape,
        dtype=str(volume.dtype.numpy_dtype),
        chunk=chunk,
        shard=shard,
        model=model_name(model),
        sha256=sha256,
        embedded=_embed(codec, sha256),
        target=asked,
        minimum=found.low,
        maximum=found.high,
        missing_values=found.missing_values,
        fingerprint=_fingerprint(volume, chunk),
        dimension_names=about.dimension_names or ("z", "y", "x"),
        attributes=about.as_attributes(),
        **bounds,
    )
    if part is not None and begun is None and creation.is_made(destination, header):
        return True  # by the others, and an earlier call for this part
    with creation.create(destination, header, resume=resume, shared=part is not None) as store:
        _write(store, coder, part or (0, 1), resume or part is not None, on_progress)
    return part is None or creation.is_made(destination, header)


def _layout(
    shape: Shape3, block_size: int, chunk: Shape3 | None, shard: Shape3 | None
) -> tuple[Shape3, Shape3 | None]:
    """Chunk and shard in voxels, those that were asked for or the usual; no shard where it is one chunk."""
    if chunk is None:
        chunk = default_chunk(shape, block_size)
    check_chunk(chunk, block_size)
    chunk = check_shape(tuple(map(int, chunk)))
    if shard is None:
        shard = default_shard(shape, chunk)
    if shard is None:
        return chunk, None
    check_shard(shard, chunk)
    shard = check_shape(tuple(map(int, shard)))
    return chunk, None if shard == chunk else shard


def _fingerprint(volume: ts.TensorStore, chunk: Shape3) -> int:
    """The CRC-32C of a few chunks of a volume."""
    places = pick_evenly(chunk_regions(volume.shape, chunk), _N_FINGERPRINTED)
    sealed = encode_bytes(b"".join(read_part(volume, place).tobytes() for place in places), "crc32c")
    return int.from_bytes(sealed[-4:], "little")


def _survey(volume: ts.TensorStore, chunk: Shape3, missing_values: Sequence[float]) -> ValueRange:
    """The range and the fill values of a volume, read in pieces at least as large as usual chunks."""
    piece = check_shape(tuple(max(side, _SURVEY_SIDE) for side in chunk))
    places = chunk_regions(volume.shape, piece)
    return find_value_range(map_in_order(lambda place: read_part(volume, place), places), missing_values)


def _known(begun: ContainerMetadata) -> ValueRange:
    return ValueRange(begun.minimum, begun.maximum, begun.missing_values)


def _embed(codec: Codec, sha256: str) -> dict[str, Any] | None:
    """The model, unless every installation has it."""
    try:
        find_checkpoint(sha256)
    except FileNotFoundError:
        return embed_model(codec.config, codec.params)
    return None


def _bounds(
    coder: ChunkedVolume | ChunkedLatents, found: ValueRange, asked: dict[str, float | bool]
) -> dict[str, float | None]:
    """The fields ``max_error`` and ``step`` of the header."""
    ((name, value),) = asked.items()
    if isinstance(coder, ChunkedLatents):
        return {"step": coder.step_for_psnr(value) if name == "psnr" else asked.get("step")}
    extent = found.high - found.low
    if not math.isfinite(extent) and name not in ("max_error", "lossless"):
        raise ValueError(
            f"`{name}` (={value}) is relative to a range, [{found.low}, {found.high}], beyond float64's"
        )
    if name == "psnr":
        return {"step": coder.step_for_psnr(value)}
    if name == "step":
        return {"step": value * extent}
    bound = 0.0 if name == "lossless" else value * (extent if name == "relative_error" else 1.0)
    return {"max_error": bound, "step": coder.step_for_bound(bound) if bound > 0 else None}


def _write(
    store: Store,
    coder: ChunkedVolume | ChunkedLatents,
    part: tuple[int, int],
    resume: bool,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    """Encode and store a part of the objects: while chunks are in work, others are read and written."""
    header = store.header
    mine = [index for number, index in enumerate(store.objects()) if number % part[1] == part[0]]
    item_bytes = np.dtype(header.dtype).itemsize

    def volume_bytes(chunks: Sequence[Index]) -> int:
        return item_bytes * sum(math.prod(chunk_valid_shape(c, header.chunk, header.shape)) for c in chunks)

    def encode(index: Index) -> bytes:
        place = chunk_region(index, header.chunk, header.shape)
        if isinstance(coder, ChunkedLatents):
            return coder.encode(place, header.step)
        return coder.encode(place, Target(header.max_error, header.step or 0.0))

    def missing() -> Iterator[Index]:
        for index in mine:
            if not (resume and store.has_object(index)):
                yield from store.chunks_of(index)

    total = sum(volume_bytes(store.chunks_of(index)) for index in mine)
    done = stored = 0
    payloads: dict[Index, bytes] = {}
    with contextlib.closing(map_in_order(lambda index: (index, encode(index)), missing())) as encoded:
        for index, payload in encoded:
            payloads[index] = payload
            done, stored = done + volume_bytes([index]), stored + len(payload)
            home = tuple(i // n for i, n in zip(index, header.chunks_per_object, strict=True))
            if len(payloads) == len(store.chunks_of(home)):
                store.write_object(home, payloads)
                payloads = {}
            if on_progress is not None:
                on_progress(Progress(done, total, stored))
