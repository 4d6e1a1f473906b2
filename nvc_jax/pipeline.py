"""Volumes to containers and back: ``compress``, ``decompress``, ``open``, ``evaluate``, ``verify``."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax import container
from nvc_jax.blocks import Shape3, check_shape
from nvc_jax.checkpoints import model_sha256
from nvc_jax.chunks import Target
from nvc_jax.codec import Codec, check_step, load_codec
from nvc_jax.container import FormatError
from nvc_jax.metrics import bits_per_voxel, quality
from nvc_jax.models import SpectralConfig
from nvc_jax.normalize import check_narrow
from nvc_jax.reader import Reader
from nvc_jax.specials import as_bits, find_fill_values, is_ordinary, ordinary_range
from nvc_jax.streams import ChunkedLatents, ChunkedVolume, Slices, touched_chunks
from nvc_jax.volumes import check_replaceable, check_writable, open_volume, read_volume, write_volume

DEFAULT_MODEL = "nvc-1"
DEFAULT_STEP = 0.01
DEFAULT_CHUNK_SIDE = 128

Region = tuple[slice, slice, slice]


def compress(
    source: Any,
    destination: Path | str,
    *,
    model: str | Path | Codec = DEFAULT_MODEL,
    max_error: float | None = None,
    relative_error: float | None = None,
    psnr: float | None = None,
    step: float | None = None,
    lossless: bool = False,
    fill_values: Sequence[float] = (),
    chunk: Shape3 | None = None,
    resume: bool = False,
) -> None:
    """Compress a volume into a container.

    At most one of ``max_error``, ``relative_error``, ``psnr``, ``step`` and ``lossless`` says what to keep
    to; without one, spectral models take a step of 0.01 and the paper's models leave their latents float32.
    The range is max − min of what is finite and no fill value. NaN, infinities and fill values are kept
    exactly.

    Args:
        source: a volume as ``nvc_jax.volumes.open_volume`` takes it; the paper's models do not take 32 bit
            integers and float64.
        destination: directory of the container; an existing Zarr store there is replaced.
        model: name of a shipped model, path of a checkpoint, or a codec. It is kept in the container
            unless it ships with the package.
        max_error: no voxel differs by more, in the volume's units.
        relative_error: no voxel differs by more than this share of the range.
        psnr: dB to reach, within 0.1, relative to the range; margins blended.
        step: of the quantiser, as ``encode_volume`` takes it: for spectral models relative to the range,
            for the paper's in the unit of their latents.
        lossless: every bit comes back.
        fill_values: values that stand for what is missing. A value at an end of the range that stands for
            1 % of the volume, far from all others, is found without being named.
        chunk: (z, y, x) voxels to a chunk, the unit of reading: multiples of the model's block size;
            None for about 128³.
        resume: go on with what an interrupted run with the same arguments left.

    Raises:
        FileExistsError: ``destination`` is a directory that is no Zarr store.
        FileNotFoundError: there is no such source, model or directory to write to.
        TypeError: the dtype is not supported.
        ValueError: a wrong chunk, bound, step or PSNR, more than one of them, a PSNR that the model does not
            reach on this volume, a volume of another rank, or an empty one.
    """
    destination = Path(destination)
    _check_apart(source, destination)
    check_replaceable(destination)
    codec = model if isinstance(model, Codec) else load_codec(model)
    asked = _check_target(codec, max_error, relative_error, psnr, step, lossless)
    volume = open_volume(source)
    shape = check_shape(volume.shape)
    if chunk is None:
        chunk = default_chunk(shape, codec.config.block_size)
    check_chunk(chunk, codec.config.block_size)
    if not isinstance(codec.config, SpectralConfig):
        check_narrow(volume.dtype.numpy_dtype)
    values = np.ascontiguousarray(volume.read().result())
    fills = tuple(dict.fromkeys([*map(float, fill_values), *find_fill_values(values)]))
    low, high = ordinary_range(values, is_ordinary(values, fills))
    chunked, kept = _prepare(codec, values, chunk, fills, (low, high), asked)
    header = container.Header(
        shape=shape,
        dtype=str(values.dtype),
        chunk=chunk,
        model="custom" if isinstance(model, Codec) else Path(model).name,
        sha256=model_sha256(codec.config, codec.params),
        target=asked,
        fill_values=fills,
        **kept,
    )
    whole = tuple(slice(0, side) for side in shape)
    with container.create(destination, header, codec, resume=resume) as store:
        for index, place, _ in touched_chunks(whole, chunk):
            if resume and store.has(index):
                continue
            if isinstance(chunked, ChunkedLatents):
                payload = chunked.encode(place, header.step)
            else:
                payload = chunked.encode(place, Target(header.max_error, header.step or 0.0))
            store.write(index, payload)


def _check_target(
    codec: Codec,
    max_error: float | None,
    relative_error: float | None,
    psnr: float | None,
    step: float | None,
    lossless: bool,
) -> dict[str, float | bool]:
    """What was asked for, one entry; or ``ValueError``."""
    given = {"max_error": max_error, "relative_error": relative_error, "psnr": psnr, "step": step}
    asked: dict[str, float | bool] = {key: value for key, value in given.items() if value is not None}
    if lossless:
        asked["lossless"] = True
    if len(asked) > 1:
        raise ValueError(f"{' and '.join(f'`{key}` (={v})' for key, v in asked.items())} exclude each other")
    is_spectral = isinstance(codec.config, SpectralConfig)
    if not asked:
        return {"step": DEFAULT_STEP} if is_spectral else {"latents": True}
    ((name, value),) = asked.items()
    if name in ("max_error", "relative_error") and not 0 <= value < math.inf:
        raise ValueError(f"`{name}` (={value}) must be a number that is not negative")
    if name == "psnr" and not 10 <= value <= 90:
        raise ValueError(f"`psnr` (={psnr}) must lie between 10 and 90 dB")
    if name == "step":
        check_step(codec.config, step)
    if name in ("max_error", "relative_error", "lossless") and not is_spectral:
        raise ValueError(f"`{name}` (={value}) needs a spectral model such as {DEFAULT_MODEL}")
    return asked


def _prepare(
    codec: Codec,
    values: np.ndarray,
    chunk: Shape3,
    fills: tuple[float, ...],
    ends: tuple[float, float],
    asked: dict[str, float | bool],
) -> tuple[ChunkedVolume | ChunkedLatents, dict[str, Any]]:
    """What encodes the chunks, and the fields of the header that say how."""
    ((name, value),) = asked.items()
    if not isinstance(codec.config, SpectralConfig):
        chunked_latents = ChunkedLatents(codec, values, chunk, fills)
        step = {"step": value, "psnr": None, "latents": None}[name]
        if name == "psnr":
            step = chunked_latents.step_for_psnr(value)
        low, high = chunked_latents.range
        return chunked_latents, {"step": step, "minimum": low, "maximum": high}
    chunked = ChunkedVolume(codec, values, chunk, fills, *ends)
    kept: dict[str, float | None]
    extent = ends[1] - ends[0]
    if not math.isfinite(extent) and name not in ("max_error", "lossless"):
        raise ValueError(f"`{name}` (={value}) is relative to a range, {ends}, that is beyond float64's")
    if name == "psnr":
        kept = {"step": chunked.step_for_psnr(value)}
    elif name == "step":
        kept = {"step": value * extent}
    else:
        bound = 0.0 if name == "lossless" else value * (extent if name == "relative_error" else 1.0)
        kept = {"max_error": bound, "step": chunked.step_for_bound(bound) if bound > 0 else None}
    return chunked, {"minimum": ends[0], "maximum": ends[1], **kept}


def check_chunk(chunk: tuple[int, ...], block_size: int) -> None:
    """Raise ``ValueError`` unless a chunk in voxels is made of whole blocks."""
    if len(chunk) != 3 or any(side < 1 or side % block_size for side in chunk):
        raise ValueError(
            f"`chunk` (={','.join(map(str, chunk))}) must be three positive multiples of the model's "
            f"block size (={block_size})"
        )


def default_chunk(shape: Shape3, block_size: int) -> Shape3:
    """Chunks of at most 128 voxels a side that share the volume evenly, so that little is padded."""
    sides = []
    for side in shape:
        n_chunks = math.ceil(side / max(DEFAULT_CHUNK_SIDE, block_size))
        sides.append(math.ceil(math.ceil(side / n_chunks) / block_size) * block_size)
    z, y, x = sides
    return z, y, x


def decompress(
    store: Path | str,
    destination: Path | str,
    *,
    region: Region | None = None,
    mode: str = "blend",
) -> None:
    """Decompress a container, or a region of it, into a file.

    Args:
        store: directory of the container.
        destination: ``.npy``, ``.npz``, ``.raw`` (named ``name_XxYxZ_dtype.raw``) or ``.zarr``; an
            existing one is replaced.
        region: (z, y, x) slices without steps; None for the whole volume. Only the chunks that the
            region touches are read and decoded, and their neighbours where margins are blended.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.

    Raises:
        FileExistsError: ``destination`` is a directory that is no Zarr store.
        FileNotFoundError: there is no such store or directory to write to.
        FormatError: the store is damaged or no container.
        ValueError: a region outside the volume, an unknown mode, or a file name of the wrong form.
    """
    reader = Reader(store, mode)
    bounds = _check_region(region, reader.header.shape)
    destination = Path(destination)
    _check_apart(store, destination)
    shape = tuple(part.stop - part.start for part in bounds)
    check_writable(destination, shape, np.dtype(reader.header.dtype))
    write_volume(destination, reader.decode(bounds))


def open(store: Path | str, *, mode: str = "blend") -> ts.TensorStore:
    """A container as a read-only ``tensorstore.TensorStore`` that decodes what it is asked for.

    Args:
        store: directory of the container.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.

    Returns:
        A view of the volume's shape and dtype. A read decodes the chunks that it touches.

    Raises:
        FileNotFoundError: there is no such store.
        FormatError: the store is damaged or no container.
        ValueError: the mode is unknown.
    """
    reader = Reader(store, mode)

    def read(domain: ts.IndexDomain, chunk: np.ndarray, _: ts.VirtualChunkedReadParameters) -> None:
        chunk[...] = reader.decode(domain.index_exp)

    return ts.virtual_chunked(
        read,
        dtype=ts.dtype(reader.header.dtype),
        shape=reader.header.shape,
        chunk_layout=ts.ChunkLayout(chunk_shape=reader.header.chunk),
        # Threads of its own: decoding waits for reads of chunks, which the shared threads do.
        context=ts.Context({"data_copy_concurrency": {"limit": 4}}),
    )


def evaluate(original: Any, store: Path | str, *, mode: str = "blend") -> dict[str, float]:
    """Measure what a container costs and how near it comes to the original.

    Args:
        original: the volume that was compressed.
        store: directory of the container.
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
    decoded = reader.decode(_check_region(None, reader.header.shape))
    n_bytes = container.stored_bytes(reader.store.path)
    if not reader.header.fill_values:
        return quality(values, decoded, n_bytes)
    known = np.where(is_ordinary(values, reader.header.fill_values), values, np.nan)
    return quality(known, decoded, n_bytes) | {"ratio": values.nbytes / n_bytes}


def verify(store: Path | str, original: Any = None) -> dict[str, Any]:
    """Read and decode every chunk of a container; compare it with the original if that is given.

    Args:
        store: directory of the container.
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
    stated, measured = 0.0, 0.0
    for index in reader.indices():
        decoded = reader.decode_chunk(index)
        stated = max(stated, reader.store.read_frame(index).max_error)
        if values is not None:
            corner = [i * n for i, n in zip(index, header.chunk, strict=True)]
            place = tuple(slice(a, a + side) for a, side in zip(corner, decoded.shape, strict=True))
            measured = max(measured, _compare(reader, index, values[place].read().result(), decoded))
    found = {"chunks": len(reader.indices()), "max_error": stated}
    return found if values is None else found | {"measured_max_error": measured}


def _compare(reader: Reader, index: Sequence[int], original: np.ndarray, decoded: np.ndarray) -> float:
    """Largest error of a chunk; ``FormatError`` if it breaks a promise."""
    header = reader.header
    ordinary = is_ordinary(original, header.fill_values)
    exact = ~ordinary if header.max_error != 0 else np.ones_like(ordinary)
    if (as_bits(original)[exact] != as_bits(decoded)[exact]).any():
        raise FormatError(f"chunk {index} of `{reader.store.path}` does not restore every value exactly")
    errors = np.abs(original[ordinary].astype(np.float64) - decoded[ordinary].astype(np.float64))
    largest = float(errors.max(initial=0.0))
    if header.max_error is not None and not largest <= header.max_error:
        raise FormatError(
            f"chunk {index} of `{reader.store.path}` is wrong by {largest}; the bound is {header.max_error}"
        )
    return largest


def describe(store: Path | str) -> dict[str, Any]:
    """What a container's metadata, files and chunks' heads say, without decoding: JSON-ready.

    Raises:
        FileNotFoundError: there is no such store.
        FormatError: the store's metadata are damaged, or it is no container, or a chunk is missing.
    """
    opened = container.open_container(Path(store))
    header = opened.header
    n_voxels = math.prod(header.shape)
    n_bytes = container.stored_bytes(opened.path)
    indices = np.ndindex(*header.chunk_grid)
    return {
        "shape": list(header.shape),
        "dtype": header.dtype,
        "chunk": list(header.chunk),
        "version": container.FORMAT_VERSION,
        "model": header.model,
        "sha256": header.sha256,
        "target": header.target,
        "bound": header.max_error,
        "step": header.step,
        "minimum": header.minimum,
        "maximum": header.maximum,
        "fill_values": list(header.fill_values),
        "max_error": max(opened.read_frame(index).max_error for index in indices),
        "stored_bytes": n_bytes,
        "bits_per_voxel": bits_per_voxel(n_bytes, n_voxels),
        "ratio": n_voxels * np.dtype(header.dtype).itemsize / n_bytes,
    }


def _check_apart(source: Any, destination: Path) -> None:
    if isinstance(source, str | Path) and Path(source).resolve() == destination.resolve():
        raise ValueError(f"`destination` (={destination}) is the source itself; it would be replaced")


def _check_region(region: Region | None, shape: Shape3) -> Slices:
    """``region`` with its bounds filled in; all of the volume if it is None."""
    bounds = []
    for part, side in zip(region or (slice(None),) * 3, shape, strict=True):
        start, stop = part.start or 0, side if part.stop is None else part.stop
        if part.step not in (None, 1) or not 0 <= start < stop <= side:
            raise ValueError(f"`region` {region} must lie within the volume's shape {shape} and not be empty")
        bounds.append(slice(start, stop))
    return tuple(bounds)
