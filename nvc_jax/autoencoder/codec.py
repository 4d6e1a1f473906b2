"""Encoding and decoding of a volume by a block autoencoder, each one compiled program (paper, section 2)."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from nvc_jax.autoencoder import (
    slabs,
    tile_blend_decoder,
    tile_kernels,
    tile_layout,
    tile_window_encoder,
    tile_windows,
    whole_volume,
)
from nvc_jax.autoencoder.arithmetic import FLOAT32, arithmetic_of_gpus, arithmetic_of_tpus
from nvc_jax.autoencoder.encoded import EncodedLatents, EncodedLatentStream, dequantize, quantize
from nvc_jax.autoencoder.networks import DenseAutoencoder, bind
from nvc_jax.autoencoder.slabs import BLOCKS_PER_SLAB
from nvc_jax.autoencoder.tile_range import finite_range_by_platform
from nvc_jax.core.group_kernels import has_group_kernels
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params
from nvc_jax.core.platforms import Forms, choose_form
from nvc_jax.core.shapes import check_shape, grid_shape

_STATIC = ("config", "precision", "blocks_per_slab")


@functools.partial(jax.jit, static_argnames=_STATIC)
def encode_blocks(
    config: ModelConfig,
    params: Params,
    volume: jax.Array,
    step: jax.Array | None,
    *,
    precision: str = FLOAT32,
    blocks_per_slab: int = BLOCKS_PER_SLAB,
) -> EncodedLatents | EncodedLatentStream:
    """Encode a volume by its own finite range.

    Args:
        config: of a block autoencoder; static.
        params: of the same.
        volume: (z, y, x), a device dtype.
        step: float32, in the unit of the latents; None leaves the latents float32.
        precision: of matrix products on accelerators, see ``arithmetic``; static.
        blocks_per_slab: blocks to encode at a time on CPUs, about; static.
    """
    minimum, maximum = finite_range_by_platform(volume)
    encoded = encode_region(
        config, params, volume, minimum, maximum, precision=precision, blocks_per_slab=blocks_per_slab
    )
    return encoded if step is None else quantize(encoded, step)


@functools.partial(jax.jit, static_argnames=_STATIC)
def encode_region(
    config: ModelConfig,
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    *,
    precision: str = FLOAT32,
    blocks_per_slab: int = BLOCKS_PER_SLAB,
) -> EncodedLatents:
    """Encode a region of a volume; float32 ``minimum`` and ``maximum`` are those of the whole volume."""

    def in_slabs(params: Params, volume: jax.Array, *limits: jax.Array) -> jax.Array:
        return slabs.encode_slabs(bind(config, params), blocks_per_slab, volume, *limits)

    def at_once(
        params: Params, volume: jax.Array, *limits: jax.Array, has_kernels: bool = False
    ) -> jax.Array:
        model = bind(config, params, arithmetic_of_gpus(precision))
        return whole_volume.encode(model, volume, *limits, has_kernels=has_kernels)

    def in_tiles(params: Params, volume: jax.Array, *limits: jax.Array) -> jax.Array:
        model = bind(config, params, arithmetic_of_tpus(precision))
        if not isinstance(model, DenseAutoencoder):
            return whole_volume.encode(model, volume, *limits)
        if tile_windows.can_run(model, shape):
            return _one_by_one(tile_window_encoder.encode, model, volume, *limits)
        if not config.margin and tile_kernels.can_run(model, shape):
            return _one_by_one(tile_kernels.encode, model, volume, *limits)
        return tile_layout.encode(model, volume, *limits)

    with_kernels = functools.partial(at_once, has_kernels=has_group_kernels())
    shape = check_shape(volume.shape)
    grid = grid_shape(shape, config.block_size)
    latents = choose_form(
        Forms(in_slabs, at_once, with_kernels, in_tiles),
        jax.ShapeDtypeStruct((*grid, config.latent_dim), jnp.float32),
        params,
        volume,
        minimum,
        maximum,
    )
    return EncodedLatents(
        latents=latents,
        minimum=minimum,
        maximum=maximum,
        shape=shape,
        dtype=str(volume.dtype),
    )


@functools.partial(jax.jit, static_argnames=("mode", *_STATIC))
def decode_blocks(
    config: ModelConfig,
    params: Params,
    encoded: EncodedLatents | EncodedLatentStream,
    mode: str,
    *,
    precision: str = FLOAT32,
    blocks_per_slab: int = BLOCKS_PER_SLAB,
) -> jax.Array:
    """Decode a volume; the inverse of ``encode_blocks`` up to the model's error.

    Args:
        config: of a block autoencoder; static.
        params: of the same.
        encoded: from ``encode_blocks`` or ``encode_region``.
        mode: ``"crop"``, or ``"blend"`` for blocks with margins; static.
        precision: of matrix products on accelerators, see ``arithmetic``; static.
        blocks_per_slab: blocks to decode at a time on CPUs, about, in mode ``"crop"``; static.
    """
    if isinstance(encoded, EncodedLatentStream):
        encoded = dequantize(encoded, config.block_size)

    def in_slabs(params: Params, encoded: EncodedLatents) -> jax.Array:
        model = bind(config, params)
        if mode == "blend":
            return slabs.decode_layers(model, encoded)
        return slabs.decode_slabs(model, blocks_per_slab, encoded)

    def at_once(params: Params, encoded: EncodedLatents, has_kernels: bool = False) -> jax.Array:
        model = bind(config, params, arithmetic_of_gpus(precision))
        return whole_volume.decode(model, encoded, mode, has_kernels=has_kernels)

    def in_tiles(params: Params, encoded: EncodedLatents) -> jax.Array:
        model = bind(config, params, arithmetic_of_tpus(precision))
        if isinstance(model, DenseAutoencoder):
            if mode == "blend" and tile_windows.can_run(model, encoded.shape):
                return _one_by_one(tile_blend_decoder.decode, model, encoded)
            if mode == "crop" and tile_kernels.can_run(model, encoded.shape):
                return _one_by_one(tile_kernels.decode, model, encoded)
            if mode == "crop" or whole_volume.fits(model):
                return tile_layout.decode(model, encoded, mode)
        return whole_volume.decode(model, encoded, mode)

    with_kernels = functools.partial(at_once, has_kernels=has_group_kernels())
    result = jax.ShapeDtypeStruct(encoded.shape, jnp.dtype(encoded.dtype))
    return choose_form(Forms(in_slabs, at_once, with_kernels, in_tiles), result, params, encoded)


def _one_by_one(code: Callable[..., jax.Array], model: DenseAutoencoder, *arguments: Any) -> jax.Array:
    """Run kernels of TPUs, which take no batches: ``jax.vmap`` runs them once for each volume."""
    graph, params = nnx.split(model)

    def run(params: Any, *arguments: Any) -> jax.Array:
        return code(nnx.merge(graph, params), *arguments)

    result: jax.Array = jax.custom_batching.sequential_vmap(run)(params, *arguments)
    return result
