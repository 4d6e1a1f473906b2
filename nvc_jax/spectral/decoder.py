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
from nvc_jax.spectral.encoded_stream import EncodedStream
from nvc_jax.spectral.entropy_model import EntropyModel, reconstruct_coefficients
from nvc_jax.spectral.profiles import classes_of_all_profiles, take_profile
from nvc_jax.spectral.refinement import refine
from nvc_jax.transform import block_layout, block_modes, lapped, partial_blocks
from nvc_jax.transform.block_layout import BlockLayout
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
    model, _, layout = _set_up(params, encoded)
    return decode_stream(model, layout, encoded.words, encoded.used, encoded.n_lanes)


@jax.jit
def reconstruct(params: Params, encoded: EncodedStream, symbols: BlockSymbols) -> jax.Array:
    """Reconstruct a volume from the integers of its stream; the stream's words are not used."""
    model, grid, layout = _set_up(params, encoded)
    modes = block_modes.modes_of_superblocks(symbols.modes, grid)

    # Coefficients in steps.
    values = dequantize(model, symbols, grid, encoded.predictor)
    modes_of_blocks = block_modes.expand_to_blocks(modes, grid).reshape(-1)
    filter_modes = block_modes.filter_mode_index(encoded.filter_index, modes_of_blocks)
    classes = classes_of_all_profiles(model, encoded.profile, symbols.classes)
    values = values + refine(params["refinement"], values, model.order, classes, filter_modes, grid)

    # Voxels, centred at 0.
    coefficients = values * (encoded.step / error_weights(layout, grid, encoded.boundaries))
    plan = block_modes.make_plan(modes, grid, encoded.valid_shape)
    emphasized = lapped.inverse(coefficients, plan, encoded.filter_index)
    stretched = deemphasize(emphasized, encoded.boundaries)
    centered = partial_blocks.unstretch(stretched, encoded.valid_shape)
    normalized = lax.slice(centered, (0, 0, 0), encoded.shape) + 0.5
    return denormalize(normalized, encoded.minimum, encoded.maximum, encoded.dtype)


@jax.jit
def decode_dc(params: Params, encoded: EncodedStream) -> jax.Array:
    """Decode the DC of every block as a mean, and leave everything else undecoded.

    The means are those of lapped blocks, which extend four voxels into their neighbours.

    Returns:
        (z, y, x) of the grid of blocks, in the volume's dtype.
    """
    model, grid, layout = _set_up(params, encoded)
    headers, _ = decode_headers(model, layout, encoded.words, encoded.used, encoded.n_lanes)
    dc = accumulate_dc(headers.dc.reshape(grid), encoded.predictor).astype(jnp.float32)
    modes = block_modes.modes_of_superblocks(headers.modes, grid)
    plan = block_modes.make_plan(modes, grid, encoded.valid_shape)
    norms = lapped.dc_norms(plan, encoded.filter_index) * jnp.float32(math.sqrt(N_COEFFICIENTS))
    normalized = dc * encoded.step / norms + 0.5
    return denormalize(normalized, encoded.minimum, encoded.maximum, encoded.dtype)


def dequantize(model: EntropyModel, symbols: BlockSymbols, grid: Shape3, predictor: jax.Array) -> jax.Array:
    """Reconstruct coefficients before the refinement, float32 (n, 512) in steps."""
    dc = accumulate_dc(symbols.dc.reshape(grid), predictor).reshape(-1)
    points = symbols.points.at[:, 0].set(2 * dc)  # in half steps
    return reconstruct_coefficients(model, points, symbols.classes)


def _set_up(params: Params, encoded: EncodedStream) -> tuple[EntropyModel, Shape3, BlockLayout]:
    """Get the entropy model of a stream's profile, its grid of blocks, and their layout."""
    model = take_profile(params["entropy"], encoded.profile)
    grid = grid_shape(encoded.shape, BLOCK_SIZE)
    return model, grid, block_layout.make_layout(grid, encoded.valid_shape)
