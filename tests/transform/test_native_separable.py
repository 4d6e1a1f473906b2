import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.shapes import Shape3
from nvc_jax.native.library import load_kernels
from nvc_jax.transform import native_separable
from nvc_jax.transform.block_layout import from_blocks, to_blocks
from nvc_jax.transform.separable import TransformShape, make_axis_transforms

pytestmark = pytest.mark.skipif(load_kernels() is not None, reason="there are no kernels")
SHAPES = [(8, 8, 8), (24, 40, 56), (16, 136, 32)]


def multiply(volume: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Multiply one matrix along each axis, in float64."""
    return np.einsum("ai,bj,ck,ijk->abc", *(m.astype(np.float64) for m in matrices), volume, optimize=True)


def matrices_of(shape: Shape3, kind: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Matrices of analysis and of synthesis: of a transform, or without any zeros, or with rows of zeros."""
    rng = np.random.default_rng(0)
    if kind == "transform":
        chosen = TransformShape(jnp.array([0, 1, 4], jnp.int32), jnp.array([1, 0, 2], jnp.int32))
        valid = jnp.array(shape, jnp.int32) - 3
        axes = jax.jit(lambda: make_axis_transforms(shape, valid, chosen, jnp.int32(0)))()
        return [np.asarray(a.analysis) for a in axes], [np.asarray(a.synthesis) for a in axes]
    dense = [rng.normal(size=(side, side)).astype(np.float32) for side in shape]
    if kind == "empty rows":
        for matrix in dense:
            matrix[: len(matrix) // 2] = 0
    return dense, dense


@pytest.mark.parametrize("kind", ["transform", "dense", "empty rows"])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_those_of_float64_up_to_rounding(shape: Shape3, kind: str) -> None:
    volume = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    analysis, synthesis = matrices_of(shape, kind)
    grid = tuple(side // 8 for side in shape)

    expected = multiply(volume, analysis)
    blocks = native_separable.analyze(jnp.asarray(volume), *map(jnp.asarray, analysis))
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(from_blocks(blocks, grid), expected, rtol=0, atol=tolerance)

    expected = multiply(volume, synthesis)
    blocks = to_blocks(jnp.asarray(volume))
    result = native_separable.synthesize(blocks, *map(jnp.asarray, synthesis))
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance)


def test_matrices_of_other_sides_are_an_error() -> None:
    volume, small = jnp.zeros((16, 16, 16)), jnp.zeros((8, 8))
    with pytest.raises(jax.errors.JaxRuntimeError, match="matrices"):
        native_separable.analyze(volume, small, small, small).block_until_ready()
    with pytest.raises(jax.errors.JaxRuntimeError, match="matrices"):
        native_separable.analyze(volume, jnp.zeros((16, 8)), *2 * [jnp.zeros((16, 16))]).block_until_ready()
