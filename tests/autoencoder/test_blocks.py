import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvc_jax.autoencoder.blending import blend_window
from nvc_jax.autoencoder.blocks import assemble_blocks, extract_blocks
from nvc_jax.core.choices import MODES
from nvc_jax.core.shapes import grid_shape

# Compiled as a whole: one program for a shape takes less time than one for each operation.
extract = jax.jit(extract_blocks, static_argnums=(1, 2))
assemble = jax.jit(assemble_blocks, static_argnums=(1, 2, 3))


@st.composite
def geometries(draw: st.DrawFn) -> tuple[tuple[int, int, int], int, int]:
    shape = draw(st.tuples(*[st.integers(1, 11)] * 3))
    block_size = draw(st.integers(1, 6))
    return shape, block_size, draw(st.integers(0, block_size))


def random_volume(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return (np.random.default_rng(0).normal(100, 50, shape).clip(0)).astype(dtype)


def corners(shape: tuple[int, int, int], block_size: int) -> list[tuple[int, ...]]:
    return list(
        itertools.product(*(range(0, n * block_size, block_size) for n in grid_shape(shape, block_size)))
    )


def reference_blocks(volume: np.ndarray, block_size: int, margin: int) -> np.ndarray:
    side = block_size + 2 * margin
    padded = np.pad(volume, [(margin, block_size + margin)] * 3)
    cut = [padded[z : z + side, y : y + side, x : x + side] for z, y, x in corners(volume.shape, block_size)]
    return np.stack(cut)


def reference_blend(blocks: np.ndarray, shape: tuple[int, int, int], margin: int) -> np.ndarray:
    """Overlap-add of weighted blocks, divided by the sum of the weights."""
    block_size = blocks.shape[1] - 2 * margin
    window = blend_window(block_size, margin).astype(np.float64)
    weights = window[:, None, None] * window[:, None] * window
    canvas = [n * block_size + 2 * margin for n in grid_shape(shape, block_size)]
    total, weight = np.zeros(canvas), np.zeros(canvas)
    for block, (z, y, x) in zip(blocks, corners(shape, block_size), strict=True):
        region = np.s_[z : z + window.size, y : y + window.size, x : x + window.size]
        total[region] += weights * block
        weight[region] += weights
    inside = tuple(slice(margin, margin + side) for side in shape)
    return (total / weight)[inside]


@settings(max_examples=12)  # each compiles
@given(geometries(), st.sampled_from(["float32", "uint8", "uint16", "int16"]))
def test_assembly_inverts_extraction(geometry: tuple, dtype: str) -> None:
    shape, block_size, margin = geometry
    volume = random_volume(shape, dtype)
    blocks = extract(volume, block_size, margin)
    for mode in MODES:
        restored = assemble(blocks, shape, margin, mode)
        assert restored.dtype == volume.dtype
        np.testing.assert_array_equal(restored, volume)


@settings(max_examples=12)
@given(geometries())
def test_extraction_matches_the_reference(geometry: tuple) -> None:
    shape, block_size, margin = geometry
    volume = random_volume(shape)
    blocks = extract(volume, block_size, margin)
    np.testing.assert_array_equal(blocks, reference_blocks(volume, block_size, margin))


@settings(max_examples=12)
@given(geometries())
def test_blend_matches_overlap_add(geometry: tuple) -> None:
    shape, block_size, margin = geometry
    n_blocks = len(corners(shape, block_size))
    blocks = random_volume((n_blocks, *[block_size + 2 * margin] * 3))
    blended = assemble(blocks, shape, margin, "blend")
    np.testing.assert_allclose(blended, reference_blend(blocks, shape, margin), rtol=2e-5, atol=1e-3)


@pytest.mark.parametrize(("block_size", "margin"), [(8, 1), (8, 2), (8, 4), (5, 2)])
def test_ramps_of_neighbours_sum_to_one(block_size: int, margin: int) -> None:
    window = blend_window(block_size, margin)
    np.testing.assert_allclose(window[: 2 * margin] + window[-2 * margin :], 1, rtol=1e-6)
    assert np.all(np.diff(window[: 2 * margin]) > 0)


def test_integer_blend_rounds_in_both_directions() -> None:
    blocks = np.stack([np.full((4, 4, 4), 10, np.uint8), np.full((4, 4, 4), 200, np.uint8)])
    line = np.asarray(assemble(blocks, (2, 2, 4), 1, "blend"))[0, 0]
    np.testing.assert_array_equal(line, [10, 58, 152, 200])


def test_jit_vmap_and_grad() -> None:
    volumes = jnp.asarray(random_volume((2, 5, 6, 7)))

    def round_trip(volume: jax.Array) -> jax.Array:
        return assemble_blocks(extract_blocks(volume, 4, 1), volume.shape, 1, "blend")

    np.testing.assert_allclose(jax.jit(jax.vmap(round_trip))(volumes), volumes, rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda volume: round_trip(volume).sum()))(volumes[0])
    np.testing.assert_allclose(gradient, 1, rtol=1e-5)


def test_bad_arguments_are_named() -> None:
    volume = np.zeros((4, 4, 4), np.float32)
    with pytest.raises(ValueError, match=r"`margin` \(=5\) must lie between 0 and `block_size` \(=4\)"):
        extract_blocks(volume, 4, 5)
    with pytest.raises(ValueError, match=r"`block_size` \(=0\)"):
        extract_blocks(volume, 0)
    with pytest.raises(ValueError, match=r"`volume` has shape \(4, 4\)"):
        extract_blocks(volume[0], 4)
    with pytest.raises(ValueError, match="no side may be empty"):
        extract_blocks(volume[:0], 4)
    with pytest.raises(ValueError, match="holds 1 blocks"):
        assemble_blocks(np.zeros((1, 4, 4, 4)), (8, 4, 4))
    with pytest.raises(ValueError, match=r"`mode` \(='mean'\)"):
        assemble_blocks(np.zeros((1, 4, 4, 4)), (4, 4, 4), 0, "mean")
