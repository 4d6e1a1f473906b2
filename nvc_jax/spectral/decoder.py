"""The decoder of nvc-1: one compiled program."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.autoencoder.networks import Params
from nvc_jax.core.normalization import denormalize
from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.spectral.bitstream import (
    BlockSymbols,
    decode_headers,
    decode_stream,
)
from nvc_jax.spectral.dc_prediction import accumulate_dc
from nvc_jax.spectral.entropy_model import EntropyModel, restore
from nvc_jax.spectral.profiles import number_classes, take_profile
from nvc_jax.spectral.refinement import refine
from nvc_jax.spectral.stream import EncodedStream
from nvc_jax.transform import block_layout, block_modes, lapped, partial_blocks
from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS
from nvc_jax.transform.boundary_emphasis import deemphasize
from nvc_jax.transform.error_weights import error_weights


@jax.jit
def decode(params: Params, encoded: EncodedStream) -> jax.Array:
    """Decode a volume; the inverse of ``encode`` up to the step."""
    return reconstruct(params, encoded, decode_symbols(params, encoded))


@jax.jit
def decode_symbols(params: Params, encoded: EncodedStream) -> BlockSymbols:
    """What a stream carries: integers only, the same on every device."""
    layout = block_layout.make_layout(grid_shape(encoded.shape, BLOCK_SIZE), encoded.valid_shape)
    model = take_profile(params["entropy"], encoded.profile)
    return decode_stream(model, layout, encoded.words, encoded.used, encoded.n_lanes)


@jax.jit
def reconstruct(params: Params, encoded: EncodedStream, symbols: BlockSymbols) -> jax.Array:
    """The volume from what its stream carries; the words themselves are not looked at."""
    model = take_profile(params["entropy"], encoded.profile)
    grid = grid_shape(encoded.shape, BLOCK_SIZE)
    layout = block_layout.make_layout(grid, encoded.valid_shape)
    values = dequantize(model, symbols, grid, encoded.predictor)
    modes = symbols.modes.reshape(grid)[::2, ::2, ::2]
    ways = block_modes.filter_mode_index(
        encoded.filter_index, block_modes.expand_to_blocks(modes, grid).reshape(-1)
    )
    classes = number_classes(model, encoded.profile, symbols.classes)
    values = values + refine(params["refinement"], values, model.order, classes, ways, grid)
    latents = values * (encoded.step / error_weights(layout, grid, encoded.boundaries))
    plan = block_modes.make_plan(modes, grid, encoded.valid_shape)
    unit = deemphasize(lapped.inverse(latents, plan, encoded.filter_index), encoded.boundaries)
    unit = partial_blocks.unstretch(unit, encoded.valid_shape)
    unit = lax.slice(unit, (0, 0, 0), encoded.shape) + 0.5
    return denormalize(unit, encoded.minimum, encoded.maximum, encoded.dtype)


@jax.jit
def decode_means(params: Params, encoded: EncodedStream) -> jax.Array:
    """The means of a volume's blocks, (z, y, x) of the grid, in its dtype: all else is left undecoded.

    They are those of the lapped blocks, which reach a little into their neighbours.
    """
    model = take_profile(params["entropy"], encoded.profile)
    grid = grid_shape(encoded.shape, BLOCK_SIZE)
    layout = block_layout.make_layout(grid, encoded.valid_shape)
    heads, _ = decode_headers(model, layout, encoded.words, encoded.used, encoded.n_lanes)
    means = accumulate_dc(heads.means.reshape(grid), encoded.predictor).astype(jnp.float32)
    plan = block_modes.make_plan(heads.modes.reshape(grid)[::2, ::2, ::2], grid, encoded.valid_shape)
    norms = lapped.dc_norms(plan, encoded.filter_index) * jnp.float32(math.sqrt(N_COEFFICIENTS))
    unit = means * encoded.step / norms + 0.5
    return denormalize(unit, encoded.minimum, encoded.maximum, encoded.dtype)


def dequantize(model: EntropyModel, symbols: BlockSymbols, grid: Shape3, predictor: jax.Array) -> jax.Array:
    """The latents in steps, float32 (n, 512), as the decoder knows them before the refinement."""
    means = accumulate_dc(symbols.points[:, 0].reshape(grid), predictor)
    return restore(model, symbols.points.at[:, 0].set(2 * means.reshape(-1)), symbols.classes)
