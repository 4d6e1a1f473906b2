"""Parameters of networks, prepared for kernels of TPUs by one more kernel, which takes them as stored.

XLA takes ten to twenty kernels for the same, each as long as it takes memory to move a megabyte.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from nvc_jax.autoencoder.networks import DenseAutoencoder
from nvc_jax.autoencoder.tile_integers import LARGEST_VOXEL, ZERO_VOXEL, round_kernel
from nvc_jax.autoencoder.tile_layers import bias_of
from nvc_jax.autoencoder.tile_operations import LANES, split


@functools.partial(jax.jit, static_argnames=("program", "settings", "results", "scratch", "interpret"))
def prepare(
    program: Callable[..., None],
    settings: tuple[Any, ...],
    arguments: Sequence[jax.Array],
    results: tuple[jax.ShapeDtypeStruct, ...],
    scratch: tuple[jax.ShapeDtypeStruct, ...],
    *,
    interpret: bool,
) -> tuple[jax.Array, ...]:
    """Run a kernel once, with all of its arguments and results in a core's own memory.

    Parameters do not depend on the volume: the kernel is traced once for volumes of all shapes.

    Args:
        program: of its settings, and of references to the arguments, the results and the scratch.
        settings: hashable.
        arguments: of two or more axes.
        results: shapes and dtypes.
        scratch: likewise, of memory for the kernel's own use.
        interpret: whether to run the kernel by ``jax.numpy``.
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    return tuple(
        pallas.pallas_call(
            functools.partial(program, *settings),
            in_specs=[pallas.BlockSpec(memory_space=tpu.VMEM)] * len(arguments),
            out_specs=[pallas.BlockSpec(memory_space=tpu.VMEM)] * len(results),
            out_shape=list(results),
            scratch_shapes=[tpu.VMEM(part.shape, part.dtype) for part in scratch],
            interpret=interpret,
        )(*arguments)
    )


def arrays_of(layers: Sequence[nnx.Linear]) -> list[jax.Array]:
    """Get the parameters of layers as they are stored: kernels (inputs, outputs) and biases (1, outputs)."""
    return [part for layer in layers for part in (layer.kernel[...], bias_of(layer).reshape(1, -1))]


def shapes_of_layers(layers: Sequence[nnx.Linear]) -> list[jax.ShapeDtypeStruct]:
    """Describe what ``write_layer`` writes for each layer."""
    shapes = []
    for layer in layers:
        n_inputs, n_outputs = layer.kernel[...].shape
        shapes += [jax.ShapeDtypeStruct((n_outputs, n_inputs), jnp.bfloat16)] * 2
        shapes.append(jax.ShapeDtypeStruct((n_outputs, 1), jnp.float32))
    return shapes


def write_layer(arguments: Sequence[Any], results: Sequence[Any]) -> None:
    """Write the parts of a layer (``tile_layers.Layer``), of a kernel and a bias as they are stored."""
    kernel, bias = arguments
    results[0][...], results[1][...] = split(kernel[...].T)
    results[2][...] = to_column(bias[...])


def to_column(row: jax.Array) -> jax.Array:
    """Turn a row (1, n) to a column (n, 1)."""
    return to_columns(row)[:, :1]


def to_columns(row: jax.Array) -> jax.Array:
    """Turn a row (1, n) to a column in each lane: (n, 128)."""
    return jnp.broadcast_to(row, (LANES, row.shape[1])).T


Move = tuple[int, int, int, int, int]
"""Rows that move: their first source and its step, their first target and its step, and their number."""


def move_rows(source: Any, target: Any, moves: Sequence[Move]) -> None:
    """Move rows of references (n, 128), float32."""
    from jax.experimental import pallas

    for first, step, first_target, step_target, n in moves:
        rows = source[pallas.ds(first, n, stride=step), :]
        target[pallas.ds(first_target, n, stride=step_target), :] = rows


def prepare_encoder(
    model: DenseAutoencoder, moves: Sequence[Move], *, interpret: bool
) -> tuple[jax.Array, ...]:
    """Prepare the parameters of an encoder.

    Args:
        model: of blocks.
        moves: of voxels to their places.
        interpret: whether to run the kernel by ``jax.numpy``.

    Returns:
        Of the first layer the kernel, int8 (units, voxels), the factor of its products, float32 (units, 1),
        and the bias, likewise; the parts of the other layers.
    """
    layers = [*model.encoder, model.mean]
    n_voxels, units = layers[0].kernel[...].shape
    column = jax.ShapeDtypeStruct((units, 1), jnp.float32)
    return prepare(
        _prepare_encoder,
        (tuple(moves), model.config.side),
        arrays_of(layers),
        (jax.ShapeDtypeStruct((units, n_voxels), jnp.int8), column, column, *shapes_of_layers(layers[1:])),
        (jax.ShapeDtypeStruct((n_voxels, LANES), jnp.float32),) * 2,
        interpret=interpret,
    )


def _prepare_encoder(moves: tuple[Move, ...], side: int, *references: Any) -> None:
    """Prepare the parameters: references to what is stored, the results, and two orders of 128 units."""
    *arrays, stored_rows, ordered_rows = references
    n_layers = len(arrays) // 5
    stored, results = arrays[: 2 * n_layers], arrays[2 * n_layers :]
    for index in range(1, n_layers):
        write_layer(stored[2 * index : 2 * index + 2], results[3 * index : 3 * index + 3])

    kernel, bias = stored[0][...], stored[1][...]
    n_voxels, units = kernel.shape
    rounded, scale = round_kernel(kernel.reshape(side, -1, units))
    rounded = rounded.reshape(n_voxels, units)
    for first in range(0, units, LANES):
        lanes = slice(0, min(LANES, units - first))
        stored_rows[:, lanes] = rounded[:, first : first + LANES]
        move_rows(stored_rows, ordered_rows, moves)
        of_units = ordered_rows[...].T[lanes]
        results[0][first : first + LANES, :] = of_units.astype(jnp.int32).astype(jnp.int8)
    results[1][...] = to_column(scale * (1 / LARGEST_VOXEL))
    total = jnp.sum(rounded, axis=0, keepdims=True)
    results[2][...] = to_column(bias + total * (ZERO_VOXEL / LARGEST_VOXEL) * scale)


def prepare_decoder(
    model: DenseAutoencoder, moves: Sequence[Move], n_parts: int, factor: float, *, interpret: bool
) -> tuple[jax.Array, ...]:
    """Prepare the parameters of a decoder.

    Args:
        model: of blocks.
        moves: of the last layer's rows to their places.
        n_parts: of the last layer's kernel.
        factor: of the last layer's kernel and bias.
        interpret: whether to run the kernel by ``jax.numpy``.

    Returns:
        What ``tile_layers.decode_hidden`` takes; the parts of the last layer's kernel, bfloat16 (n, units),
        and its bias in each lane, float32 (n, 128).
    """
    layers = [*model.decoder, model.output]
    units, n_voxels = model.output.kernel[...].shape
    n_rows = sum(move[-1] for move in moves)
    n_latents, n_first = model.decoder[0].kernel[...].shape
    return prepare(
        _prepare_decoder,
        (tuple(moves), n_parts, factor),
        arrays_of(layers),
        (
            jax.ShapeDtypeStruct((n_first, 3 * n_latents), jnp.bfloat16),
            jax.ShapeDtypeStruct((n_first, 1), jnp.float32),
            *shapes_of_layers(layers[1:-1]),
            *[jax.ShapeDtypeStruct((n_rows, units), jnp.bfloat16)] * n_parts,
            jax.ShapeDtypeStruct((n_rows, LANES), jnp.float32),
        ),
        (
            jax.ShapeDtypeStruct((n_voxels, LANES), jnp.float32),
            jax.ShapeDtypeStruct((n_rows, LANES), jnp.float32),
        ),
        interpret=interpret,
    )


def _prepare_decoder(moves: tuple[Move, ...], n_parts: int, factor: float, *references: Any) -> None:
    """Prepare the parameters: references to what is stored, the results, and two orders of 128 units."""
    *arrays, stored_rows, ordered_rows = references
    n_layers = (len(arrays) - n_parts) // 5 + 1
    stored, results = arrays[: 2 * n_layers], arrays[2 * n_layers :]
    first, rest = split(stored[0][...].T)
    results[0][...] = jnp.concatenate([first, first, rest], axis=1)
    results[1][...] = to_column(stored[1][...])
    for index in range(1, n_layers - 1):
        write_layer(stored[2 * index : 2 * index + 2], results[3 * index - 1 : 3 * index + 2])

    *kernels, bias_of_lanes = results[-n_parts - 1 :]
    kernel, bias = stored[-2:]
    units = kernel.shape[0]
    for begin in range(0, units, LANES):
        of_tile = slice(begin, min(units, begin + LANES))
        lanes = slice(0, of_tile.stop - begin)
        stored_rows[:, lanes] = kernel[of_tile, :].T * factor
        move_rows(stored_rows, ordered_rows, moves)
        for reference, part in zip(kernels, split(ordered_rows[:, lanes], n_parts), strict=True):
            reference[:, of_tile] = part
    stored_rows[...] = to_columns(bias[...]) * factor
    move_rows(stored_rows, bias_of_lanes, moves)
