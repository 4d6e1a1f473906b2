"""Volumes to containers and back: ``compress``, ``decompress``, ``open``, ``evaluate``."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import tensorstore as ts

from nvc_jax import container, latents, spectral
from nvc_jax.blocks import Shape3, check_mode, check_shape
from nvc_jax.checkpoints import model_sha256
from nvc_jax.codec import (
    Codec,
    check_finite,
    check_step,
    decode_volume,
    encode_volume,
    load_codec,
)
from nvc_jax.container import check_chunk
from nvc_jax.latents import Encoded
from nvc_jax.metrics import bits_per_voxel, quality
from nvc_jax.models import SpectralConfig
from nvc_jax.streams import ChunkedLatents, ChunkedVolume, chunk_extent, touched_chunks
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
    step: float | None = None,
    psnr: float | None = None,
    chunk: Shape3 | None = None,
) -> None:
    """Compress a volume into a container.

    Args:
        source: a volume as ``nvc_jax.volumes.open_volume`` takes it; uint8, uint16, int16 or float32.
        destination: directory of the container; an existing Zarr store there is replaced.
        model: name of a shipped model, path of a checkpoint, or a codec. It is kept in the container
            unless it ships with the package.
        step: of the quantiser, as ``encode_volume`` takes it: for spectral models relative to the volume's
            range (0.01), for the paper's in the unit of their latents (None: they stay float32).
        psnr: dB to reach, within 0.1, in place of a step; relative to max − min, margins blended.
        chunk: (z, y, x) voxels to a chunk, the unit of reading: multiples of the model's block size;
            None for about 128³.

    Raises:
        FileExistsError: ``destination`` is a directory that is no Zarr store.
        FileNotFoundError: there is no such source, model or directory to write to.
        TypeError: the dtype is not supported.
        ValueError: a wrong chunk, step or PSNR, a PSNR that the model does not reach on this volume, a
            volume of another rank, an empty one, or values that are not finite.
    """
    destination = Path(destination)
    _check_apart(source, destination)
    check_replaceable(destination)
    codec = model if isinstance(model, Codec) else load_codec(model)
    config = codec.config
    if isinstance(config, SpectralConfig) and step is None and psnr is None:
        step = DEFAULT_STEP
    if psnr is not None:
        _check_psnr(psnr, step)
    else:
        check_step(config, step)
    volume = open_volume(source)
    shape = check_shape(volume.shape)
    if chunk is None:
        chunk = default_chunk(shape, config.block_size)
    check_chunk(chunk, config.block_size)
    values = volume.read().result()
    if step is None and psnr is None:
        fields, array = _encode_latents(codec, values)
    else:
        fields, array = _encode_streams(codec, values, step, psnr, chunk)
    header = container.Header(
        shape=shape,
        dtype=str(values.dtype),
        block_size=config.block_size,
        latent_dim=config.latent_dim,
        model="custom" if isinstance(model, Codec) else Path(model).name,
        sha256=model_sha256(config, codec.params),
        **fields,
    )
    with container.create(destination, header, codec, chunk) as stored:
        stored.write(array).result()


def _encode_streams(
    codec: Codec, values: np.ndarray, step: float | None, psnr: float | None, chunk: Shape3
) -> tuple[dict[str, Any], np.ndarray]:
    """Fields of the header, and the payloads of all chunks end to end."""
    minimum, maximum = check_finite(values)
    chunked: ChunkedVolume | ChunkedLatents
    if isinstance(codec.config, SpectralConfig):
        chunked = ChunkedVolume(codec, values, minimum, maximum, chunk)
    else:
        chunked = ChunkedLatents(codec, values, check_chunk(chunk, codec.config.block_size))
    if step is None:
        assert psnr is not None
        step = chunked.step_for(psnr)
    payloads = chunked.encode(step)
    ends = tuple(int(end) for end in np.cumsum([len(payload) for payload in payloads]))
    fields = {"minimum": minimum, "maximum": maximum, "step": step, "chunk": chunk, "ends": ends}
    return fields, np.frombuffer(b"".join(payloads), np.uint8)


def _encode_latents(codec: Codec, values: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
    """Fields of the header, and the latents."""
    encoded = encode_volume(codec, values)
    assert isinstance(encoded, Encoded)
    fields = {"minimum": float(encoded.minimum), "maximum": float(encoded.maximum)}
    return fields, np.asarray(encoded.latents)


def default_chunk(shape: Shape3, block_size: int) -> Shape3:
    """Chunks of at most 128 voxels a side that share the volume evenly, so that little is padded."""
    sides = []
    for side in shape:
        n_chunks = math.ceil(side / max(DEFAULT_CHUNK_SIDE, block_size))
        sides.append(math.ceil(math.ceil(side / n_chunks) / block_size) * block_size)
    z, y, x = sides
    return z, y, x


def _check_psnr(psnr: float, step: float | None) -> None:
    if step is not None:
        raise ValueError(f"`psnr` (={psnr}) and `step` (={step}) exclude each other")
    if not 10 <= psnr <= 90:
        raise ValueError(f"`psnr` (={psnr}) must lie between 10 and 90 dB")


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
        region: (z, y, x) slices without steps; None for the whole volume. Only the blocks that the
            region touches are read and decoded, and their neighbours where margins are blended.
        mode: ``"blend"`` or ``"crop"``; see ``decode_volume``.

    Raises:
        FileExistsError: ``destination`` is a directory that is no Zarr store.
        FileNotFoundError: there is no such store or directory to write to.
        FormatError: the store is damaged or no container.
        ValueError: a region outside the volume, an unknown mode, or a file name of the wrong form.
    """
    reader = _Reader(store, mode)
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
    reader = _Reader(store, mode)

    def read(domain: ts.IndexDomain, chunk: np.ndarray, _: ts.VirtualChunkedReadParameters) -> None:
        chunk[...] = reader.decode(domain.index_exp)

    return ts.virtual_chunked(
        read,
        dtype=ts.dtype(reader.header.dtype),
        shape=reader.header.shape,
        chunk_layout=ts.ChunkLayout(chunk_shape=reader.chunk),
        # Threads of its own: decoding waits for reads of latents, which the shared threads do.
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
        ``ssim``; every stored byte counts. PSNR is relative to max − min of the original.

    Raises:
        FileNotFoundError: there is no such original or store.
        FormatError: the store is damaged or no container.
        ValueError: the two are not of one shape, or the mode is unknown.
    """
    reader = _Reader(store, mode)
    decoded = reader.decode(_check_region(None, reader.header.shape))
    return quality(read_volume(original), decoded, container.stored_bytes(reader.path))


def describe(store: Path | str) -> dict[str, Any]:
    """What a container's metadata and files say, without decoding: JSON-ready.

    Raises:
        FileNotFoundError: there is no such store.
        FormatError: the store's metadata are damaged, or it is no container.
    """
    path = Path(store)
    header, array = container.open_container(path)
    n_voxels = math.prod(header.shape)
    n_bytes = container.stored_bytes(path)
    fields = header.to_dict()
    fields.pop("ends", None)  # as many as there are chunks, and of no use to a reader
    return {
        **fields,
        "chunk": _chunk_voxels(header, array),
        "stored_bytes": n_bytes,
        "bits_per_voxel": bits_per_voxel(n_bytes, n_voxels),
        "ratio": n_voxels * np.dtype(header.dtype).itemsize / n_bytes,
    }


def _check_apart(source: Any, destination: Path) -> None:
    if isinstance(source, str | Path) and Path(source).resolve() == destination.resolve():
        raise ValueError(f"`destination` (={destination}) is the source itself; it would be replaced")


def _chunk_voxels(header: container.Header, array: ts.TensorStore) -> list[int]:
    if header.chunk is not None:
        return list(header.chunk)
    *chunk, _ = array.chunk_layout.read_chunk_template.shape
    return [side * header.block_size for side in chunk]


def _check_region(region: Region | None, shape: Shape3) -> Region:
    """``region`` with its bounds filled in; all of the volume if it is None."""
    bounds = []
    for part, side in zip(region or (slice(None),) * 3, shape, strict=True):
        start, stop = part.start or 0, side if part.stop is None else part.stop
        if part.step not in (None, 1) or not 0 <= start < stop <= side:
            raise ValueError(f"`region` {region} must lie within the volume's shape {shape} and not be empty")
        bounds.append(slice(start, stop))
    z, y, x = bounds
    return z, y, x


class _Reader:
    """An open container and its codec."""

    def __init__(self, store: Path | str, mode: str) -> None:
        check_mode(mode)
        self.path = Path(store)
        self.header, self._array = container.open_container(self.path)
        self._codec = container.load_model(self.path, self.header)
        try:
            check_step(self._codec.config, self.header.step)
        except ValueError as error:
            raise container.FormatError(f"`{store}` holds what its model does not decode: {error}") from error
        self._mode = mode
        self.chunk = _chunk_voxels(self.header, self._array)

    def decode(self, region: tuple[slice, ...]) -> np.ndarray:
        """The voxels of ``region`` alone: those of the whole decoded volume, but for float rounding."""
        is_spectral = isinstance(self._codec.config, SpectralConfig)
        return self._decode_streams(region) if is_spectral else self._decode_latents(region)

    def _decode_latents(self, region: tuple[slice, ...]) -> np.ndarray:
        header, b = self.header, self.header.block_size
        # Blending needs the neighbours of the region's blocks.
        halo = 1 if self._mode == "blend" and self._codec.config.margin else 0
        grid = header.latents_shape[:3]
        first = [max(part.start // b - halo, 0) for part in region]
        last = [min(-(-part.stop // b) + halo, n) for part, n in zip(region, grid, strict=True)]
        blocks = tuple(slice(a, n) for a, n in zip(first, last, strict=True))
        z, y, x = (min(n * b, side) - a * b for a, n, side in zip(first, last, header.shape, strict=True))
        encoded = Encoded(
            latents=jnp.asarray(self._read_latents(blocks)),
            minimum=jnp.float32(header.minimum),
            maximum=jnp.float32(header.maximum),
            shape=(z, y, x),
            dtype=header.dtype,
        )
        decoded = np.asarray(decode_volume(self._codec, encoded, mode=self._mode))
        return decoded[
            tuple(slice(r.start - a * b, r.stop - a * b) for r, a in zip(region, first, strict=True))
        ]

    def _decode_streams(self, region: tuple[slice, ...]) -> np.ndarray:
        header = self.header
        assert header.chunk is not None
        result = np.empty([part.stop - part.start for part in region], header.dtype)
        for index, into, of in touched_chunks(region, header.chunk):
            result[into] = self._decode_chunk(index)[of]
        return result

    def _decode_chunk(self, index: tuple[int, ...]) -> np.ndarray:
        header = self.header
        assert header.chunk is not None
        assert header.step is not None
        numbers = (header.minimum, header.maximum, header.step)
        with self._reading(index) as payload:
            extent = chunk_extent(index, header.chunk, header.shape)
            encoded = spectral.from_bytes(payload, header.chunk, header.dtype, *numbers, extent=extent)
        return np.asarray(decode_volume(self._codec, encoded))

    def _read_latents(self, blocks: tuple[slice, ...]) -> np.ndarray:
        """The latents of a region of the grid of blocks."""
        header = self.header
        if header.step is None:
            return container.read_array(self._array[blocks], self.path)
        assert header.chunk is not None
        chunk = check_chunk(header.chunk, header.block_size)
        result = np.empty([*(part.stop - part.start for part in blocks), header.latent_dim], np.float32)
        for index, into, of in touched_chunks(blocks, chunk):
            with self._reading(index) as payload:
                stream = latents.from_bytes(payload, chunk, header.latent_dim, header.step)
            result[into] = np.asarray(latents.decode_latents(stream, grid=chunk))[of]
        return result

    @contextlib.contextmanager
    def _reading(self, index: tuple[int, ...]) -> Iterator[bytes]:
        """The payload of a chunk; a ``ValueError`` on using it is the container's fault."""
        assert self.header.ends is not None
        flat = int(np.ravel_multi_index(index, self.header.chunk_grid))
        part = slice(self.header.ends[flat - 1] if flat else 0, self.header.ends[flat])
        payload = container.read_array(self._array[part], self.path).tobytes()
        try:
            yield payload
        except ValueError as error:
            raise container.FormatError(f"chunk {index} of `{self.path}` is damaged: {error}") from error
