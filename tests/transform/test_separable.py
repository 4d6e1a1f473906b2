import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core import normalization
from nvc_jax.core.shapes import Shape3
from nvc_jax.transform import boundary_emphasis, separable
from nvc_jax.transform.axis_transform import AxisTransform
from nvc_jax.transform.block_layout import from_blocks
from nvc_jax.transform.boundary_emphasis import ALL_BOUNDARIES
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import TransformShape

PADDED = (24, 40, 16)

make_axis_transforms = jax.jit(separable.make_axis_transforms, static_argnums=0)
boundaries_to_emphasize = jax.jit(boundary_emphasis.boundaries_to_emphasize, static_argnums=0)
forward, inverse = jax.jit(separable.forward), jax.jit(separable.inverse)
inverse_to_range = jax.jit(separable.inverse_to_range)
denormalize = jax.jit(normalization.denormalize, static_argnums=3)
block_means = jax.jit(separable.block_means)


def random_shape(rng: np.random.Generator) -> TransformShape:
    limits = (len(SEGMENT_LENGTHS), len(FILTERS))
    return TransformShape(*(jnp.asarray(rng.integers(0, limit, 3), jnp.int32) for limit in limits))


def transforms_of(seed: int, valid_shape: Shape3, boundaries: int) -> list[AxisTransform]:
    """Transforms of a random shape, for volumes of PADDED."""
    valid = jnp.array(valid_shape, jnp.int32)
    kept = boundaries_to_emphasize(PADDED, valid, jnp.int32(boundaries))
    return make_axis_transforms(PADDED, valid, random_shape(np.random.default_rng(seed)), kept)


valid_shapes = st.tuples(*(st.one_of(st.just(side), st.integers(1, side)) for side in PADDED))
seeds = st.integers(0, 2**32 - 1)


@given(seeds, valid_shapes, st.integers(0, ALL_BOUNDARIES))
def test_volumes_come_back_whatever_the_padding(seed: int, valid_shape: Shape3, boundaries: int) -> None:
    rng = np.random.default_rng(seed)
    transforms, valid = transforms_of(seed, valid_shape, boundaries), tuple(map(slice, valid_shape))
    volume = rng.uniform(-0.5, 0.5, PADDED).astype(np.float32)
    other = rng.uniform(-0.5, 0.5, PADDED).astype(np.float32)
    other[valid] = volume[valid]
    coefficients = forward(jnp.asarray(volume), transforms)
    np.testing.assert_array_equal(forward(jnp.asarray(other), transforms), coefficients)
    np.testing.assert_allclose(inverse(coefficients, transforms)[valid], volume[valid], atol=1e-5)
    assert not np.delete(np.asarray(from_blocks(coefficients, (3, 5, 2))), np.s_[: valid_shape[0]], 0).any()


@given(seeds, valid_shapes, st.floats(-1e6, 1e6, width=32), st.floats(0, 1e6, width=32))
def test_scaled_volumes_reach_their_range(
    seed: int, valid_shape: Shape3, minimum: float, width: float
) -> None:
    """The kernel maps and clips every voxel, used or not, as the separate steps do."""
    transforms = transforms_of(seed, valid_shape, 0)
    coefficients = np.random.default_rng(seed).normal(0, 0.3, (30, 512)).astype(np.float32)
    limits = np.float32(minimum), np.float32(minimum + width)
    mapped = np.asarray(inverse_to_range(jnp.asarray(coefficients), transforms, *limits))
    centered = np.asarray(inverse(jnp.asarray(coefficients), transforms))
    np.testing.assert_allclose(
        mapped, denormalize(centered + np.float32(0.5), *limits, np.float32), rtol=1e-5, atol=1e-5 * width
    )
    assert mapped.min() >= limits[0]
    assert mapped.max() <= limits[1]


@given(seeds, valid_shapes)
def test_a_volume_without_boundaries_is_about_as_large_as_its_coefficients(
    seed: int, valid_shape: Shape3
) -> None:
    """Squared errors of random coefficients add up to about those of voxels."""
    transforms = transforms_of(seed, valid_shape, 0)
    volume = np.random.default_rng(seed).normal(size=PADDED).astype(np.float32)
    coefficients = np.asarray(forward(jnp.asarray(volume), transforms))
    noise = np.sign(coefficients).astype(np.float32)
    decoded = np.asarray(inverse(jnp.asarray(noise), transforms))[tuple(map(slice, valid_shape))]
    assert 0.5 < (decoded**2).sum() / (noise**2).sum() < 2


@given(seeds, valid_shapes, st.integers(0, ALL_BOUNDARIES))
def test_block_means_are_those_of_a_volume_of_first_coefficients(
    seed: int, valid_shape: Shape3, boundaries: int
) -> None:
    transforms = transforms_of(seed, valid_shape, boundaries)
    grid = (3, 5, 2)
    first = np.random.default_rng(seed).normal(size=grid).astype(np.float32)
    inside = [np.arange(n) * 8 < valid for n, valid in zip(grid, valid_shape, strict=True)]
    first *= np.einsum("z,y,x->zyx", *inside)
    coefficients = np.zeros((*grid, 512), np.float32)
    coefficients[..., 0] = first
    volume = np.asarray(inverse(jnp.asarray(coefficients.reshape(-1, 512)), transforms))
    means = np.asarray(block_means(jnp.asarray(first), transforms, jnp.array(valid_shape, jnp.int32)))
    for block in zip(*np.nonzero(np.einsum("z,y,x->zyx", *inside)), strict=True):
        part = tuple(slice(8 * i, min(8 * i + 8, side)) for i, side in zip(block, valid_shape, strict=True))
        np.testing.assert_allclose(means[block], volume[part].mean(), atol=1e-5)
