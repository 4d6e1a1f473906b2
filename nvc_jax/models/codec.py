"""The codec: volume to latents and back, each direction one compiled XLA program."""

import dataclasses
import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from nvc_jax.autoencoder.blocks import (
    Shape3,
    blend_axis,
    blend_neighbours,
    check_mode,
    check_shape,
    extract_padded,
    grid_shape,
    pad_to_grid,
)
from nvc_jax.autoencoder.latent_stream import (
    STEPS,
    Encoded,
    EncodedLatents,
    check_encoded,
    dequantize,
    quantize,
)
from nvc_jax.autoencoder.networks import BlockAutoencoder, ModelConfig, Params, SpectralConfig, bind
from nvc_jax.core.normalization import check_narrow, denormalize, finite_range, normalize
from nvc_jax.models.checkpoints import load_checkpoint
from nvc_jax.spectral import encoder
from nvc_jax.spectral.encoder import MAX_STEP, MIN_STEP, EncodedStream

BLOCKS_PER_STEP = 1024
"""Blocks that pass through the network at a time: intermediates stay in cache, memory stays bounded."""


@functools.partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["config"])
@dataclasses.dataclass(frozen=True)
class Codec:
    """A model and its parameters; a pytree, so that it may be an argument of jitted functions.

    Attributes:
        config: the model's configuration (static).
        params: nested dict of float32 arrays.
    """

    config: ModelConfig
    params: Params


def load_codec(model: str | Path) -> Codec:
    """Load a codec by the name of a shipped model, the path of a checkpoint, or a SHA-256.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the checkpoint is damaged or foreign.
    """
    return Codec(*load_checkpoint(model))


def encode_volume(
    codec: Codec, volume: ArrayLike, *, step: ArrayLike | None = None
) -> Encoded | EncodedLatents | EncodedStream:
    """Encode a volume: into its blocks' latent means (paper, section 2), or into an entropy-coded stream.

    Pure: it may be called inside ``jax.jit``, ``jax.vmap`` and ``jax.shard_map``. Called outside, it
    runs as one compiled program, compiled once for each shape and dtype.

    Args:
        codec: from ``load_codec`` or ``train``.
        volume: (z, y, x), an 8 or 16 bit integer, float16 or float32.
        step: of the quantiser: smaller is better and larger; may be traced. Spectral models such as
            nvc-1 need one, relative to the volume's range, from 2**-15 to 2. Block autoencoders take one
            in the unit of their latents, whose standard deviations are about 0.1 to 8, from 2**-12 to
            2**12; without one, their latents stay float32.

    Returns:
        The encoded volume: arrays of static shape; a stream has a buffer and its used length.

    Raises:
        TypeError: the dtype is not supported.
        ValueError: a missing or wrong step, wrong rank, an empty side, or values that are not
            finite (inside a transformation values cannot be checked: there NaN encodes as the minimum,
            infinities as the range's ends).
    """
    volume = volume if isinstance(volume, jax.Array) else np.asarray(volume)
    check_narrow(volume.dtype)
    volume = jnp.asarray(volume)
    check_shape(volume.shape)
    check_step(codec.config, step)
    if not isinstance(volume, jax.core.Tracer):
        check_finite(volume)
    if isinstance(codec.config, SpectralConfig):
        return _encode_spectral(codec.params, volume, jnp.asarray(step, jnp.float32))
    return _encode(codec, volume, None if step is None else jnp.asarray(step, jnp.float32))


@jax.jit
def encode_region(codec: Codec, volume: jax.Array, minimum: jax.Array, maximum: jax.Array) -> Encoded:
    """Encode a part of a volume by a block autoencoder; float32 ``minimum`` and ``maximum`` of the whole."""
    latents = _encode_blocks(codec, volume, minimum, maximum)
    return Encoded(latents, minimum, maximum, check_shape(volume.shape), str(volume.dtype))


def check_finite(volume: ArrayLike) -> tuple[float, float]:
    """The range of a volume, or ``ValueError`` if a value is not finite."""
    minimum, maximum, n_bad = (float(value) for value in _range_and_nonfinite(jnp.asarray(volume)))
    if n_bad:
        raise ValueError(f"`volume` holds {n_bad:.0f} values that are not finite; all must be")
    return minimum, maximum


def check_step(config: ModelConfig, step: ArrayLike | None) -> None:
    """Raise ``ValueError`` unless ``step`` suits the model."""
    is_spectral = isinstance(config, SpectralConfig)
    if step is None and is_spectral:
        raise ValueError("`step` is missing: spectral models quantise, for instance with step=0.01")
    if step is None or isinstance(step, jax.core.Tracer):
        return
    low, high = (MIN_STEP, MAX_STEP) if is_spectral else STEPS
    if not low <= float(np.asarray(step)) <= high:
        unit = "relative to the range" if is_spectral else "in the unit of the latents"
        raise ValueError(f"`step` (={step}) must lie between {low} and {high:g}, {unit}")


@jax.jit
def _encode_spectral(params: Params, volume: jax.Array, step: jax.Array) -> EncodedStream:
    return encoder.encode(params, volume, *finite_range(volume), step)


def decode_volume(
    codec: Codec, encoded: Encoded | EncodedLatents | EncodedStream, *, mode: str = "blend"
) -> jax.Array:
    """Decode a volume; the inverse of ``encode_volume`` up to the model's error.

    Args:
        codec: the codec that encoded it.
        encoded: from ``encode_volume``.
        mode: what becomes of the decoded margins: ``"blend"`` interpolates them between neighbours,
            ``"crop"`` decodes only the blocks' cores. Without a margin the two are the same.

    Returns:
        The volume in its original shape and dtype.

    Raises:
        ValueError: the encoded volume is not of this codec's kind and size, or ``mode`` is unknown.
    """
    check_mode(mode)
    if isinstance(codec.config, SpectralConfig) != isinstance(encoded, EncodedStream):
        raise ValueError(
            f"`encoded` is a {type(encoded).__name__}, not of a {codec.config.architecture} codec"
        )
    if isinstance(encoded, EncodedStream):
        return encoder.decode(codec.params, encoded)
    check_encoded(encoded, grid_shape(encoded.shape, codec.config.block_size), codec.config.latent_dim)
    return _decode(codec, encoded, "crop" if codec.config.margin == 0 else mode)


@jax.jit
def _range_and_nonfinite(volume: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    if jnp.issubdtype(volume.dtype, jnp.integer):
        return *finite_range(volume), jnp.int32(0)
    return *finite_range(volume), jnp.sum(~jnp.isfinite(volume))


def _slab(grid: Shape3) -> tuple[int, int]:
    """How many z-layers and y-rows of blocks make about ``BLOCKS_PER_STEP`` blocks."""
    layer = grid[1] * grid[2]
    if layer <= BLOCKS_PER_STEP:
        n_slabs = math.ceil(grid[0] / (BLOCKS_PER_STEP // layer))
        return math.ceil(grid[0] / n_slabs), grid[1]
    n_slabs = math.ceil(grid[1] / max(1, BLOCKS_PER_STEP // grid[2]))
    return 1, math.ceil(grid[1] / n_slabs)


@jax.jit
def _encode(codec: Codec, volume: jax.Array, step: jax.Array | None) -> Encoded | EncodedLatents:
    encoded = encode_region(codec, volume, *finite_range(volume))
    return encoded if step is None else quantize(encoded, step)


def _encode_blocks(codec: Codec, volume: jax.Array, minimum: jax.Array, maximum: jax.Array) -> jax.Array:
    """Latents of every block, float32 (grid z, y, x, latents)."""
    config = codec.config
    b, m = config.block_size, config.margin
    model = bind(config, codec.params)
    grid = grid_shape(check_shape(volume.shape), b)
    layers, rows = _slab(grid)
    n_z, n_y = math.ceil(grid[0] / layers), math.ceil(grid[1] / rows)
    # The minimum normalises to the zero that the paper pads with.
    padded = pad_to_grid(volume, (n_z * layers, n_y * rows, grid[2]), b, m, fill=minimum)
    slab_shape = (layers * b + 2 * m, rows * b + 2 * m, padded.shape[2])

    def encode_slab(index: jax.Array) -> jax.Array:
        corner = (index // n_y * (layers * b), index % n_y * (rows * b), jnp.zeros_like(index))
        slab = normalize(lax.dynamic_slice(padded, corner, slab_shape), minimum, maximum)
        return model.encode(extract_padded(slab, b, m))[0]

    latents = lax.map(encode_slab, jnp.arange(n_z * n_y))
    latents = latents.reshape(n_z, n_y, layers, rows, grid[2], -1).transpose(0, 2, 1, 3, 4, 5)
    return latents.reshape(n_z * layers, n_y * rows, grid[2], -1)[: grid[0], : grid[1]]


@functools.partial(jax.jit, static_argnums=2)
def _decode(codec: Codec, encoded: Encoded | EncodedLatents, mode: str) -> jax.Array:
    model = bind(codec.config, codec.params)
    if isinstance(encoded, EncodedLatents):
        encoded = dequantize(encoded, codec.config.block_size)
    if mode == "crop":
        return _decode_cropped(model, encoded)
    return _decode_blended(model, encoded)


def _decode_cropped(model: BlockAutoencoder, encoded: Encoded) -> jax.Array:
    """Decode cores slab by slab; each is converted to the volume's dtype and assembled while in cache.

    The conversion comes before the transposition of voxels: small values are cheaper to move.
    """
    b = model.config.block_size
    grid = check_shape(encoded.latents.shape[:3])
    layers, rows = _slab(grid)
    n_z, n_y = math.ceil(grid[0] / layers), math.ceil(grid[1] / rows)
    widths = [(0, n_z * layers - grid[0]), (0, n_y * rows - grid[1]), (0, 0), (0, 0)]
    latents = jnp.pad(encoded.latents, widths)
    latents = latents.reshape(n_z, layers, n_y, rows, grid[2], -1).transpose(0, 2, 1, 3, 4, 5)

    def decode_slab(latents: jax.Array) -> jax.Array:
        cores = model.decode_core(latents.reshape(-1, latents.shape[-1]))
        cores = denormalize(cores, encoded.minimum, encoded.maximum, encoded.dtype)
        # Row of blocks by row of blocks: XLA would otherwise fuse the transposition into the network's
        # last layer, which then runs element by element.
        strips = lax.map(lambda row: row.transpose(1, 2, 0, 3), cores.reshape(layers * rows, -1, b, b, b))
        slab = strips.reshape(layers, rows, b, b, -1).transpose(0, 2, 1, 3, 4)
        return slab.reshape(layers * b, rows * b, -1)

    slabs = lax.map(decode_slab, latents.reshape(n_z * n_y, -1, latents.shape[-1]))
    slabs = slabs.reshape(n_z, n_y, layers * b, rows * b, -1).transpose(0, 2, 1, 3, 4)
    depth, height, width = encoded.shape
    return slabs.reshape(n_z * layers * b, n_y * rows * b, -1)[:depth, :height, :width]


def _decode_blended(model: BlockAutoencoder, encoded: Encoded) -> jax.Array:
    """Decode layer by layer of blocks; a layer's z-margins meet those of the layers on both sides.

    Blocks are laid out voxel-major (voxel z, y, x, then grid y, x): slices of a few voxels along a
    margin are then long runs in memory.
    """
    n_layers, *layer_grid, _ = encoded.latents.shape
    b, m = model.config.block_size, model.config.margin
    side = model.config.side

    def decode_layer(index: jax.Array) -> jax.Array:
        latents = lax.dynamic_index_in_dim(encoded.latents, index, keepdims=False)
        blocks = model.decode(latents.reshape(-1, latents.shape[-1]))
        cells = blocks.reshape(-1, side**3).T.reshape(side, side, side, *layer_grid)
        cells = blend_axis(cells, m, grid_axis=4, voxel_axis=2)
        return blend_axis(cells, m, grid_axis=3, voxel_axis=1)

    def blend_layer(
        carry: tuple[jax.Array, jax.Array], index: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        tail, current = carry
        following = decode_layer(jnp.minimum(index + 1, n_layers - 1))
        position = jnp.full((1,) * current.ndim, index)
        cores = blend_neighbours(
            current, tail, following[:m], position > 0, position < n_layers - 1, m, axis=0
        )
        cores = denormalize(cores, encoded.minimum, encoded.maximum, encoded.dtype)
        return (current[-m:], following), cores

    index = jnp.arange(n_layers)
    first = decode_layer(jnp.zeros_like(index[0]))
    _, cores = lax.scan(blend_layer, (jnp.zeros_like(first[:m]), first), index)
    volume = cores.transpose(0, 1, 4, 2, 5, 3).reshape(n_layers * b, *(n * b for n in layer_grid))
    depth, height, width = encoded.shape
    return volume[:depth, :height, :width]
