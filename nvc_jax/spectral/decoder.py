"""The decoder of nvc-1: a stream to a volume, one compiled program."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.normalization import denormalize
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.spectral.bitstream import BlockSymbols, decode_headers, decode_stream
from nvc_jax.spectral.dc_prediction import accumulate_dc
from nvc_jax.spectral.entropy_model import EntropyModel, reconstruct_coefficients
from nvc_jax.spectral.profiles import classes_of_all_profiles, take_profile
from nvc_jax.spectral.refinement import refine
from nvc_jax.spectral.stream import EncodedStream
from nvc_jax.transform import block_layout, block_modes, lapped, partial_blocks
from nvc_jax.transform.boundary_emphasis import deemphasize
from nvc_jax.transform.error_weights import error_weights
from nvc_jax.transform.planar_blocks import BLOCK_SIZE, N_COEFFICIENTS


@jax.jit
def decode(params: Params, encoded: EncodedStream) -> jax.Array:
    """Decode a volume: the inverse of ``encoder.encode`` up to quantisation.

    Args:
        params: of the model: ``entropy``, its ``profiles``, and ``refinement``.
        encoded: the stream.

    Returns:
        (z, y, x), of the stream's shape and dtype.
    """
    return reconstruct(params, encoded, decode_symbols(params, encoded))


@jax.jit
def decode_symbols(params: Params, encoded: EncodedStream) -> BlockSymbols:
    """Decode the integers that a stream carries: the same on every device."""
    layout = block_layout.make_layout(grid_shape(encoded.shape, BLOCK_SIZE), encoded.valid_shape)
    model = take_profile(params["entropy"], encoded.profile)
    return decode_stream(model, layout, encoded.words, encoded.used, encoded.n_lanes)


@jax.jit
def reconstruct(params: Params, encoded: EncodedStream, symbols: BlockSymbols) -> jax.Array:
    """Reconstruct a volume from the integers of its stream; the stream's words are not used."""
    model = take_profile(params["entropy"], encoded.profile)
    grid = grid_shape(encoded.shape, BLOCK_SIZE)
    layout = block_layout.make_layout(grid, encoded.valid_shape)
    modes = symbols.modes.reshape(grid)[::2, ::2, ::2]

    # Coefficients in steps.
    values = dequantize(model, symbols, grid, encoded.predictor)
    block_mode = block_modes.expand_to_blocks(modes, grid).reshape(-1)
    filter_modes = block_modes.filter_mode_index(encoded.filter_index, block_mode)
    classes = classes_of_all_profiles(model, encoded.profile, symbols.classes)
    values = values + refine(params["refinement"], values, model.order, classes, filter_modes, grid)

    # Voxels, centred at 0.
    coefficients = values * (encoded.step / error_weights(layout, grid, encoded.boundaries))
    plan = block_modes.make_plan(modes, grid, encoded.valid_shape)
    unit = deemphasize(lapped.inverse(coefficients, plan, encoded.filter_index), encoded.boundaries)
    unit = partial_blocks.unstretch(unit, encoded.valid_shape)
    unit = lax.slice(unit, (0, 0, 0), encoded.shape) + 0.5
    return denormalize(unit, encoded.minimum, encoded.maximum, encoded.dtype)


@jax.jit
def decode_dc(params: Params, encoded: EncodedStream) -> jax.Array:
    """Decode the DC of every block as a mean, and leave everything else undecoded.

    The means are those of lapped blocks, which extend four voxels into their neighbours.

    Returns:
        (z, y, x) of the grid of blocks, in the volume's dtype.
    """
    model = take_profile(params["entropy"], encoded.profile)
    grid = grid_shape(encoded.shape, BLOCK_SIZE)
    layout = block_layout.make_layout(grid, encoded.valid_shape)
    headers, _ = decode_headers(model, layout, encoded.words, encoded.used, encoded.n_lanes)
    dc = accumulate_dc(headers.dc.reshape(grid), encoded.predictor).astype(jnp.float32)
    plan = block_modes.make_plan(headers.modes.reshape(grid)[::2, ::2, ::2], grid, encoded.valid_shape)
    norms = lapped.dc_norms(plan, encoded.filter_index) * jnp.float32(math.sqrt(N_COEFFICIENTS))
    unit = dc * encoded.step / norms + 0.5
    return denormalize(unit, encoded.minimum, encoded.maximum, encoded.dtype)


def dequantize(model: EntropyModel, symbols: BlockSymbols, grid: Shape3, predictor: jax.Array) -> jax.Array:
    """Reconstruct coefficients before the refinement, float32 (n, 512) in steps."""
    dc = accumulate_dc(symbols.points[:, 0].reshape(grid), predictor)
    return reconstruct_coefficients(model, symbols.points.at[:, 0].set(2 * dc.reshape(-1)), symbols.classes)
