from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.native.library import load_kernels
from nvc_jax.transform import axis_transform, native_separable, separable
from nvc_jax.transform.axis_transform import Factors
from nvc_jax.transform.block_layout import from_blocks, to_blocks
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import Original, TransformShape

pytestmark = pytest.mark.skipif(load_kernels() is not None, reason="there are no kernels")
SHAPES = [(8, 8, 8), (24, 40, 56), (16, 136, 32)]

apply_borders = jax.jit(axis_transform.apply_borders)


@jax.jit
def analyze(volume: jax.Array, axes: list[Factors]) -> jax.Array:
    """Coefficients (z, y, x)."""
    grid = tuple(side // 8 for side in volume.shape)
    return from_blocks(native_separable.analyze(volume, axes, jnp.float32(1)), grid)


@jax.jit
def synthesize(coefficients: jax.Array, axes: list[Factors]) -> jax.Array:
    return native_separable.synthesize(to_blocks(coefficients), axes)


padded, padded_reference = jax.jit(Original.padded), jax.jit(Original.padded_reference)
scale_and_analyze = jax.jit(native_separable.analyze)
make_axis_transforms = jax.jit(separable.make_axis_transforms, static_argnums=0)
make_axis_transform = jax.jit(axis_transform.make_axis_transform, static_argnums=(0, 5))


def matrices_of(axes: list[Factors], *, borders_first: bool) -> list[np.ndarray]:
    """Matrices that the factors stand for, float64."""
    matrices = []
    for borders, dct in axes:
        mixing = np.asarray(apply_borders(borders, np.eye(len(dct), dtype=np.float32)), np.float64)
        matrices.append(np.asarray(dct) @ mixing if borders_first else mixing @ np.asarray(dct))
    return matrices


def check_kernels(volume: np.ndarray, analysis: list[Factors], synthesis: list[Factors]) -> None:
    """Compare both kernels with products of matrices in float64, up to rounding."""
    for axes, borders_first in ((analysis, True), (synthesis, False)):
        matrices = matrices_of(axes, borders_first=borders_first)
        expected = np.einsum("ai,bj,ck,ijk->abc", *matrices, volume, optimize=True)
        result = (analyze if borders_first else synthesize)(volume, axes)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@given(
    st.sampled_from(SHAPES),
    st.tuples(*[st.integers(0, len(SEGMENT_LENGTHS) - 1)] * 3),
    st.tuples(*[st.integers(0, len(FILTERS) - 1)] * 3),
    st.integers(0, 60),
    st.integers(0, 0b111111),
)
def test_products_are_those_of_float64_up_to_rounding(
    shape: Shape3, lengths: Shape3, filters: Shape3, missing: int, boundaries: int
) -> None:
    volume = np.random.default_rng(missing).normal(size=shape).astype(np.float32)
    chosen = TransformShape(jnp.array(lengths, jnp.int32), jnp.array(filters, jnp.int32))
    valid = jnp.maximum(jnp.array(shape, jnp.int32) - missing, 1)
    axes = make_axis_transforms(shape, valid, chosen, jnp.int32(boundaries))
    for axis, made in enumerate(axes):
        numbers = (valid[axis], chosen.lengths[axis], chosen.filters[axis], jnp.int32(boundaries))
        expected = make_axis_transform(shape[axis], *numbers, axis)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-5), made, expected)
    check_kernels(volume, [a.analysis_factors for a in axes], [a.synthesis_factors for a in axes])


@given(
    st.tuples(*[st.integers(1, 20)] * 3), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-3, 1.0, 1e30])
)
def test_centred_volumes_are_those_of_the_reference(shape: Shape3, seed: int, width: float) -> None:
    rng = np.random.default_rng(seed)
    volume = (7 + width * rng.normal(size=shape)).astype(np.float32)
    special = rng.random(shape)
    volume[special < 0.1] = np.nan
    volume[special > 0.95] = np.inf
    limits = (jnp.float32(7 - width), jnp.float32(7 + width))
    original = Original(jnp.asarray(volume), *limits)
    expected = np.asarray(padded_reference(original))
    assert expected.shape == tuple(side + -side % 8 for side in shape)
    np.testing.assert_array_equal(padded(original), expected)


def test_coefficients_are_scaled() -> None:
    volume = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    axes = make_axis_transforms(
        volume.shape, jnp.full(3, 16, jnp.int32), TransformShape(*[jnp.zeros(3, jnp.int32)] * 2), jnp.int32(0)
    )
    factors = [axis.analysis_factors for axis in axes]
    scaled = [*factors[:2], axes[2].scaled(jnp.float32(0.3)).analysis_factors]
    by_scale = scale_and_analyze(volume, factors, np.float32(0.3))
    np.testing.assert_array_equal(by_scale, scale_and_analyze(volume, scaled, np.float32(1)))


@pytest.mark.parametrize("kind", ["dense", "empty rows", "empty columns"])
@pytest.mark.parametrize("shape", SHAPES)
def test_matrices_may_have_no_symmetry(shape: Shape3, kind: str) -> None:
    rng = np.random.default_rng(0)
    factors = []
    for side in shape:
        matrix = rng.normal(size=(side, side)).astype(np.float32)
        if kind == "empty rows":
            matrix[: side // 2] = 0
        if kind == "empty columns":
            matrix[:, side // 2 :] = 0
        borders = rng.normal(size=(side // 8 + 1, 8, 8)).astype(np.float32)
        factors.append(Factors(jnp.asarray(borders), jnp.asarray(matrix)))
    check_kernels(rng.normal(size=shape).astype(np.float32), factors, factors)


def test_matrices_of_other_sides_are_an_error() -> None:
    volume = jnp.zeros((16, 16, 16))
    right = Factors(jnp.zeros((3, 8, 8)), jnp.zeros((16, 16)))
    wrong = [
        Factors(jnp.zeros((2, 8, 8)), jnp.zeros((8, 8))),
        right._replace(dct=jnp.zeros((16, 8))),
        right._replace(borders=jnp.zeros((2, 8, 8))),
        right._replace(borders=jnp.zeros((3, 8, 4))),
    ]
    for axis in wrong:
        with pytest.raises(jax.errors.JaxRuntimeError, match="matrices"):
            native_separable.analyze(volume, [right, axis, right], jnp.float32(1)).block_until_ready()
