"""Volumes to containers and back: ``compress``, ``decompress``, ``open``, ``evaluate``."""

import math
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import tensorstore as ts

from nvc_jax import container
from nvc_jax.blocks import Shape3, check_mode
from nvc_jax.checkpoints import model_sha256
from nvc_jax.codec import Codec, Encoded, decode_volume, encode_volume, load_codec
from nvc_jax.metrics import bits_per_voxel, quality
from nvc_jax.volumes import check_replaceable, check_writable, open_volume, read_volume, write_volume

DEFAULT_MODEL = "two-wide-margin"
"""The paper's payload, 2 bits/voxel, without visible block borders."""

Region = tuple[slice, slice, slice]


def compress(
    source: Any,
    destination: Path | str,
    *,
    model: str | Path | Codec = DEFAULT_MODEL,
    chunk: Shape3 | None = None,
) -> None:
    """Compress a volume into a container.

    Args:
        source: a volume as ``nvc_jax.volumes.open_volume`` takes it; uint8, uint16, int16 or float32.
        destination: directory of the container; an existing Zarr store there is replaced.
        model: name of a shipped model, path of a checkpoint, or a codec. It is kept in the container
            unless it ships with the package.
        chunk: (z, y, x) voxels to a chunk, the unit of reading: multiples of the model's block size;
            None for about 128³.

    Raises:
        FileExistsError: ``destination`` is a directory that is no Zarr store.
        FileNotFoundError: there is no such source, model or directory to write to.
        TypeError: the dtype is not supported.
        ValueError: a wrong chunk, a volume of another rank, an empty one, or values that are not finite.
    """
    destination = Path(destination)
    _check_apart(source, destination)
    check_replaceable(destination)
    codec = model if isinstance(model, Codec) else load_codec(model)
    if chunk is None:
        chunk = (max(128 // codec.config.block_size, 1) * codec.config.block_size,) * 3
    container.check_chunk(chunk, codec.config.block_size)
    volume = open_volume(source)
    encoded = encode_volume(codec, volume.read().result())
    header = container.Header(
        shape=encoded.shape,
        dtype=encoded.dtype,
        minimum=float(encoded.minimum),
        maximum=float(encoded.maximum),
        block_size=codec.config.block_size,
        latent_dim=codec.config.latent_dim,
        model="custom" if isinstance(model, Codec) else Path(model).name,
        sha256=model_sha256(codec.config, codec.params),
    )
    with container.create(destination, header, codec, chunk) as latents:
        latents.write(np.asarray(encoded.latents)).result()


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
    header, latents = container.open_container(path)
    n_voxels = math.prod(header.shape)
    n_bytes = container.stored_bytes(path)
    return {
        **header.to_dict(),
        "chunk": _chunk_voxels(header, latents),
        "stored_bytes": n_bytes,
        "bits_per_voxel": bits_per_voxel(n_bytes, n_voxels),
        "ratio": n_voxels * np.dtype(header.dtype).itemsize / n_bytes,
    }


def _check_apart(source: Any, destination: Path) -> None:
    if isinstance(source, str | Path) and Path(source).resolve() == destination.resolve():
        raise ValueError(f"`destination` (={destination}) is the source itself; it would be replaced")


def _chunk_voxels(header: container.Header, latents: ts.TensorStore) -> list[int]:
    *chunk, _ = latents.chunk_layout.read_chunk_template.shape
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
        self.header, self._latents = container.open_container(self.path)
        self._codec = container.load_model(self.path, self.header)
        self._mode = mode
        self.chunk = _chunk_voxels(self.header, self._latents)

    def decode(self, region: tuple[slice, ...]) -> np.ndarray:
        """The voxels of ``region`` alone: those of the whole decoded volume, but for float rounding."""
        header, b = self.header, self.header.block_size
        # Blending needs the neighbours of the region's blocks.
        halo = 1 if self._mode == "blend" and self._codec.config.margin else 0
        grid = header.latents_shape[:3]
        first = [max(part.start // b - halo, 0) for part in region]
        last = [min(-(-part.stop // b) + halo, n) for part, n in zip(region, grid, strict=True)]
        blocks = tuple(slice(a, n) for a, n in zip(first, last, strict=True))
        z, y, x = (min(n * b, side) - a * b for a, n, side in zip(first, last, header.shape, strict=True))
        encoded = Encoded(
            latents=jnp.asarray(container.read_latents(self._latents[blocks], self.path)),
            minimum=jnp.float32(header.minimum),
            maximum=jnp.float32(header.maximum),
            shape=(z, y, x),
            dtype=header.dtype,
        )
        decoded = np.asarray(decode_volume(self._codec, encoded, mode=self._mode))
        return decoded[
            tuple(slice(r.start - a * b, r.stop - a * b) for r, a in zip(region, first, strict=True))
        ]
