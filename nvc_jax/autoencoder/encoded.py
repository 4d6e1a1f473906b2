"""Encoded volumes of block autoencoders: float latents, or their entropy-coded stream."""

import dataclasses
import functools
import math

import jax

from nvc_jax.autoencoder.latent_stream import LatentStream, decode_latents, encode_latents
from nvc_jax.core.encoded_volume import EncodedVolume
from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.entropy import adaptive_geometric

_register = functools.partial(jax.tree_util.register_dataclass, meta_fields=["shape", "dtype"])


@functools.partial(_register, data_fields=["latents", "minimum", "maximum"])
@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedLatents(EncodedVolume):
    """A volume as the mean latents of its blocks.

    Attributes:
        latents: float32 (grid_z, grid_y, grid_x, latent_dim).
    """

    latents: jax.Array

    @property
    def used_bytes(self) -> int:
        """Bytes of the latents."""
        return self.latents.size * self.latents.dtype.itemsize


@functools.partial(_register, data_fields=["stream", "minimum", "maximum"])
@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedLatentStream(EncodedVolume):
    """A volume as the entropy-coded stream of its blocks' quantised latents.

    Attributes:
        stream: the coded latents.
    """

    stream: LatentStream

    @property
    def used_bytes(self) -> jax.Array:
        """Bytes of the stream's part in use, with its header, int32."""
        return self.stream.used_bytes


def quantize(encoded: EncodedLatents, step: jax.Array) -> EncodedLatentStream:
    """Quantise the latents by ``step``, float32 in their unit, and code them as a stream."""
    return EncodedLatentStream(
        stream=encode_latents(encoded.latents, step),
        minimum=encoded.minimum,
        maximum=encoded.maximum,
        shape=encoded.shape,
        dtype=encoded.dtype,
    )


def dequantize(encoded: EncodedLatentStream, block_size: int) -> EncodedLatents:
    """Decode the stream of ``quantize`` into float latents, with errors up to half a step."""
    return EncodedLatents(
        latents=decode_latents(encoded.stream, grid=grid_shape(encoded.shape, block_size)),
        minimum=encoded.minimum,
        maximum=encoded.maximum,
        shape=encoded.shape,
        dtype=encoded.dtype,
    )


def check_encoded(encoded: EncodedLatents | EncodedLatentStream, grid: Shape3, latent_dim: int) -> None:
    """Raise ``ValueError`` unless the arrays' shapes fit a grid of blocks and their number of latents."""
    shapes: dict[str, tuple[jax.Array, tuple[int, ...]]]
    if isinstance(encoded, EncodedLatents):
        shapes = {"latents": (encoded.latents, (*grid, latent_dim))}
    else:
        n_words = adaptive_geometric.capacity(math.prod(grid), latent_dim)
        stream = encoded.stream
        shapes = {
            "stream.coded.words": (stream.coded.words, (n_words,)),
            "stream.choices": (stream.choices, (latent_dim,)),
        }
    for name, (array, shape) in shapes.items():
        if array.shape != shape:
            raise ValueError(f"`encoded.{name}` has shape {array.shape}; this codec and volume have {shape}")
