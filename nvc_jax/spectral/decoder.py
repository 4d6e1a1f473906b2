"""The decoder of nvc-1: a stream to a volume, one compiled program."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.normalization import denormalize
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import group_reconstruction
from nvc_jax.spectral.bitstream import (
    BlockSymbols,
    decode_headers,
    decode_in_order,
    decode_stream,
)
from nvc_jax.spectral.coding_tables import take_coding_tables
from nvc_jax.spectral.dc_prediction import accumulate_dc
from nvc_jax.spectral.dequantization import dequantize
from nvc_jax.spectral.encoded_stream import EncodedStream
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.filter_setting import apply_filter
from nvc_jax.spectral.profiles import shared_frequencies, take_profile
from nvc_jax.spectral.scan_order import make_scan_order
from nvc_jax.spectral.stream_loops import GROUP_LOOPS
from nvc_jax.transform import block_layout, separable
from nvc_jax.transform.block_layout import BLOCK_SIZE, BlockLayout
from nvc_jax.transform.separable import AxisTransform


@jax.jit
def decode(params: Params, encoded: EncodedStream) -> jax.Array:
    """Decode a volume: the inverse of ``encoder.encode`` up to quantisation.

    Args:
        params: of the model: ``entropy``, its ``profiles``.
        encoded: the stream.

    Returns:
        (z, y, x), of the stream's shape and dtype.
    """

    def in_two_steps(params: Params, encoded: EncodedStream) -> jax.Array:
        return reconstruct(params, encoded, decode_symbols(params, encoded))

    # On TPUs the volumes of a batch in turn: its loops would move all of its streams at every step.
    tpu = jax.custom_batching.sequential_vmap(in_two_steps)
    return on_cpu(in_two_steps, in_two_steps, params, encoded, gpu=_decode_by_groups, tpu=tpu)


def _decode_by_groups(params: Params, encoded: EncodedStream) -> jax.Array:
    """Decode a volume by kernels of GPUs: integers stay in the order in which they were coded."""
    model, _, layout = _set_up(params, encoded)
    scan = make_scan_order(model, layout)
    coding = take_coding_tables(shared_frequencies(params["entropy"]), encoded.profile)
    headers, *in_order = decode_in_order(GROUP_LOOPS, model, layout, scan, encoded.stream, coding)
    points = group_reconstruction.coded_points(scan, layout, *in_order)
    return _reconstruct_by_groups(params, encoded, points, headers.first, headers.classes)


@jax.jit
def decode_symbols(params: Params, encoded: EncodedStream) -> BlockSymbols:
    """Decode the integers that a stream carries: the same on every device."""
    model, _, layout = _set_up(params, encoded)
    return decode_stream(model, layout, encoded.stream)


@jax.jit
def reconstruct(params: Params, encoded: EncodedStream, symbols: BlockSymbols) -> jax.Array:
    """Reconstruct a volume from the integers of its stream; the stream's words are not used."""
    return on_cpu(
        _reconstruct_by_stages, _reconstruct_by_stages, params, encoded, symbols, gpu=_reconstruct_points
    )


def _reconstruct_by_stages(params: Params, encoded: EncodedStream, symbols: BlockSymbols) -> jax.Array:
    """Reconstruct a volume, one stage after the other: the specification of the kernels."""
    model, grid, _ = _set_up(params, encoded)
    axes = _axis_transforms(encoded)
    first = accumulate_dc(symbols.first.reshape(grid), encoded.predictor, axes)
    coefficients = dequantize(model, symbols, first.reshape(-1), encoded.step)
    if encoded.filter_setting is None and jnp.dtype(encoded.dtype) == jnp.float32:
        volume = separable.inverse_to_range(coefficients, axes, encoded.minimum, encoded.maximum)
        return lax.slice(volume, (0, 0, 0), encoded.shape)
    centered = separable.inverse(coefficients, axes)
    normalized = lax.slice(centered, (0, 0, 0), encoded.shape) + 0.5
    return _finish(params, encoded, normalized)


def _finish(params: Params, encoded: EncodedStream, normalized: jax.Array) -> jax.Array:
    """Filter decoded voxels, if the stream says so, and map them to the volume's range and dtype."""
    if encoded.filter_setting is not None:
        limited = jnp.clip(normalized, 0, 1)
        arguments = (limited, encoded.valid_shape, encoded.filter_setting, encoded.step)
        normalized = apply_filter(params["filter"], *arguments)
    return denormalize(normalized, encoded.minimum, encoded.maximum, encoded.dtype)


def _reconstruct_points(params: Params, encoded: EncodedStream, symbols: BlockSymbols) -> jax.Array:
    """Reconstruct a volume by kernels of GPUs from the integers of its blocks."""
    points = group_reconstruction.BlockPoints(symbols.points)
    return _reconstruct_by_groups(params, encoded, points, symbols.first, symbols.classes)


def _reconstruct_by_groups(
    params: Params, encoded: EncodedStream, points: Any, first: jax.Array, classes: jax.Array
) -> jax.Array:
    """Reconstruct a volume by kernels of GPUs."""
    model, grid, _ = _set_up(params, encoded)
    axes = _axis_transforms(encoded)
    first = accumulate_dc(first.reshape(grid), encoded.predictor, axes).reshape(-1)
    arguments = (model, points, classes, first, encoded.step, axes)
    if encoded.filter_setting is None:
        limits = (encoded.minimum, encoded.maximum)
        return group_reconstruction.reconstruct(*arguments, limits, encoded.shape, encoded.dtype)
    limits = (jnp.float32(0), jnp.float32(1))
    normalized = group_reconstruction.reconstruct(*arguments, limits, encoded.shape, "float32")
    return _finish(params, encoded, normalized)


@jax.jit
def decode_block_means(params: Params, encoded: EncodedStream) -> jax.Array:
    """Decode about the means of 8³ voxels from the block headers, and leave everything else undecoded.

    Returns:
        (z, y, x) of the grid of blocks, in the volume's dtype.
    """
    model, grid, layout = _set_up(params, encoded)
    axes = _axis_transforms(encoded)
    headers = decode_headers(model, layout, encoded.stream)
    first = accumulate_dc(headers.first.reshape(grid), encoded.predictor, axes)
    means = separable.block_means(first.astype(jnp.float32) * encoded.step, axes, encoded.valid_shape)
    return denormalize(means + 0.5, encoded.minimum, encoded.maximum, encoded.dtype)


def _set_up(params: Params, encoded: EncodedStream) -> tuple[EntropyModel, Shape3, BlockLayout]:
    """Get the entropy model of a stream's profile, its grid of blocks, and their layout."""
    model = take_profile(params["entropy"], encoded.profile)
    grid = grid_shape(encoded.shape, BLOCK_SIZE)
    return model, grid, block_layout.make_layout(grid, encoded.valid_shape)


def _axis_transforms(encoded: EncodedStream) -> list[AxisTransform]:
    """Compute the transforms of a stream's axes."""
    padded = check_shape(tuple(-(-side // BLOCK_SIZE) * BLOCK_SIZE for side in encoded.shape))
    return separable.make_axis_transforms(padded, encoded.valid_shape, encoded.transform, encoded.boundaries)
