"""Encoded volumes of block autoencoders."""

import dataclasses
import functools
import math

import jax

from nvc_jax.autoencoder.latent_stream import LatentStream, decode_latents, encode_latents
from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.entropy import adaptive_geometric


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["latents", "minimum", "maximum"],
    meta_fields=["shape", "dtype"],
)
@dataclasses.dataclass(frozen=True)
class EncodedLatents:
    """A volume as its blocks' latent means; a pytree with a static shape and dtype.

    Attributes:
        latents: float32 (grid_z, grid_y, grid_x, latent_dim).
        minimum, maximum: the volume's finite range, float32 scalars.
        shape: (z, y, x) of the volume.
        dtype: name of the volume's dtype.
    """

    latents: jax.Array
    minimum: jax.Array
    maximum: jax.Array
    shape: Shape3
    dtype: str


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["stream", "minimum", "maximum"],
    meta_fields=["shape", "dtype"],
)
@dataclasses.dataclass(frozen=True)
class EncodedLatentStream:
    """A volume as the entropy-coded stream of its blocks' latents; else as ``EncodedLatents``."""

    stream: LatentStream
    minimum: jax.Array
    maximum: jax.Array
    shape: Shape3
    dtype: str


def quantize(encoded: EncodedLatents, step: jax.Array) -> EncodedLatentStream:
    """The encoded volume with its latents as a stream."""
    stream = encode_latents(encoded.latents, step)
    return EncodedLatentStream(stream, encoded.minimum, encoded.maximum, encoded.shape, encoded.dtype)


def dequantize(encoded: EncodedLatentStream, block_size: int) -> EncodedLatents:
    """The encoded volume with float latents again: the inverse of ``quantize`` up to half a step."""
    latents = decode_latents(encoded.stream, grid=grid_shape(encoded.shape, block_size))
    return EncodedLatents(latents, encoded.minimum, encoded.maximum, encoded.shape, encoded.dtype)


def check_encoded(encoded: EncodedLatents | EncodedLatentStream, grid: Shape3, latent_dim: int) -> None:
    """Raise ``ValueError`` unless the arrays' shapes are those of such a grid of blocks."""
    shapes: dict[str, tuple[jax.Array, tuple[int, ...]]]
    if isinstance(encoded, EncodedLatents):
        shapes = {"latents": (encoded.latents, (*grid, latent_dim))}
    else:
        n_words = adaptive_geometric.capacity(math.prod(grid), latent_dim)
        stream = encoded.stream
        shapes = {
            "stream.words": (stream.words, (n_words,)),
            "stream.choices": (stream.choices, (latent_dim,)),
        }
    for name, (array, shape) in shapes.items():
        if array.shape != shape:
            raise ValueError(f"`encoded.{name}` has shape {array.shape}; this codec and volume have {shape}")
