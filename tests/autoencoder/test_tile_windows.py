import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from drawn_params import draw_params
from jax.experimental import pallas

from nvc_jax.autoencoder.arithmetic import FAST, FLOAT32, Arithmetic, arithmetic_of_tpus
from nvc_jax.autoencoder.config import ConvolutionalConfig, DenseConfig
from nvc_jax.autoencoder.networks import bind
from nvc_jax.autoencoder.tile_windows import (
    LARGEST_WIDTH,
    LEAST_SHAPE,
    can_run,
    is_outer_row,
    moves_of_plane,
    of_neighbour,
    turn,
)
from nvc_jax.core.model import ModelConfig

CONFIG = DenseConfig(margin=2, hidden_sizes=(24,), latent_dim=5)


def runs(config: ModelConfig, shape: tuple = LEAST_SHAPE, precision: str = FAST) -> bool:
    arithmetic = arithmetic_of_tpus(precision) if isinstance(config, DenseConfig) else Arithmetic()
    return can_run(bind(config, draw_params(config), arithmetic), shape)


def test_programs_beyond_the_kernels_are_told() -> None:
    assert runs(CONFIG)
    assert not runs(CONFIG, precision=FLOAT32)
    assert not runs(CONFIG, (16, 64, 127))
    assert not runs(CONFIG, (16, 64, LARGEST_WIDTH + 1))
    assert not runs(dataclasses.replace(CONFIG, margin=0))
    assert not runs(dataclasses.replace(CONFIG, margin=1))
    assert not runs(dataclasses.replace(CONFIG, latent_dim=513))
    assert not runs(ConvolutionalConfig(margin=2, channels=(2, 2), latent_dim=3))


def test_registers_have_every_voxel_once() -> None:
    voxels = np.arange(12**3).reshape(12, 12, 12)
    registers = np.full(12**3, -1)
    for z in range(12):
        for source, step, target, step_target, n in moves_of_plane(z * 144, z * 144, 96, 8, 1):
            sources = source + step * np.arange(n)
            registers[target + step_target * np.arange(n)] = voxels.ravel()[sources]
    core, rim = registers.reshape(12, 144)[:, :96], registers.reshape(12, 144)[:, 96:].reshape(12, 6, 8)
    np.testing.assert_array_equal(core.reshape(12, 12, 8), voxels[:, 2:-2].swapaxes(1, 2))
    both = np.sort(np.concatenate([core.ravel(), rim.ravel()]))
    np.testing.assert_array_equal(both, np.arange(12**3))
    # Rows 0, 1, 6 and 7 have an even x; 0 and 1 are behind the core, 6 and 7 before it.
    np.testing.assert_array_equal(
        rim[3, 2], voxels[3, [10, 11, 0, 1, 10, 11, 0, 1], [4, 4, 5, 5, 5, 5, 4, 4]]
    )


def run_in_kernel(function: Callable[[jax.Array], jax.Array], array: jax.Array) -> jax.Array:
    def kernel(source: Any, result: Any) -> None:
        result[...] = function(source[...])

    shape = jax.ShapeDtypeStruct(array.shape, array.dtype)
    return pallas.pallas_call(kernel, out_shape=shape, interpret=True)(array)


def test_turned_registers_swap_their_rows() -> None:
    registers = jnp.arange(3 * 8 * 128, dtype=jnp.int32).reshape(3, 8, 128)
    turned = run_in_kernel(turn, registers)
    np.testing.assert_array_equal(turned, np.roll(registers, 4, axis=1))
    is_outer = np.asarray(is_outer_row())[:, 0]
    np.testing.assert_array_equal(is_outer, np.roll(~is_outer, 4))


def test_neighbours_are_in_other_lanes_and_columns() -> None:
    columns = jnp.arange(2 * 8 * 128, dtype=jnp.int32).reshape(2, 8, 128)
    whole = np.concatenate(np.asarray(columns), axis=1)

    def neighbours(by: int, both: jax.Array) -> jax.Array:
        missing = jnp.full((8, 128), -1, jnp.int32)
        return jnp.stack([of_neighbour(list(both), column, by, missing) for column in range(2)])

    before = run_in_kernel(lambda both: neighbours(-1, both), columns)
    after = run_in_kernel(lambda both: neighbours(1, both), columns)
    outside = np.full((8, 8), -1)
    np.testing.assert_array_equal(
        np.concatenate(np.asarray(before), axis=1), np.concatenate([outside, whole[:, :-8]], axis=1)
    )
    np.testing.assert_array_equal(
        np.concatenate(np.asarray(after), axis=1), np.concatenate([whole[:, 8:], outside], axis=1)
    )
