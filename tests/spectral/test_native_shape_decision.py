import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.native.library import load_kernels
from nvc_jax.spectral import shape_decision
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.shape_decision import ShapeDecision

pytestmark = pytest.mark.skipif(load_kernels() is not None, reason="there are no kernels")
SHAPES = [(8, 8, 8), (24, 40, 16), (16, 48, 8)]
"""The columns of the first two are padded alike."""
FEW = EncoderOptions(segment_lengths=(16, 64), filters=("orthonormal", "biorthogonal"))

CASES = [(SHAPES[0], DEFAULT_OPTIONS), (SHAPES[1], DEFAULT_OPTIONS), (SHAPES[2], FEW)]
"""Each is a program of the reference, which takes seconds to compile."""

by_kernel = jax.jit(shape_decision.choose_shape, static_argnames="options")
by_reference = jax.jit(shape_decision.choose_shape_reference, static_argnames="options")


def make_volume(shape: Shape3, seed: int) -> np.ndarray:
    """Waves of a random direction with a little noise, as unlike along the axes as volumes are."""
    rng = np.random.default_rng(seed)
    phases = np.einsum("a,azyx->zyx", rng.choice([0.02, 0.2, 2.0], 3), np.indices(shape))
    noise = rng.normal(size=shape) * rng.choice([0, 0.003])
    return np.clip(np.sin(phases) / 2 + noise, -0.5, 0.5).astype(np.float32)


def check_equal(decided: ShapeDecision, expected: ShapeDecision) -> None:
    """Costs are equal up to rounding, by which another line may be drawn."""
    np.testing.assert_allclose(decided.cost, expected.cost, rtol=0.02)
    jax.tree.map(np.testing.assert_array_equal, decided.shape, expected.shape)


@settings(max_examples=30)
@given(
    st.sampled_from(CASES),
    st.integers(0, 20),
    st.integers(0, 50),
    st.sampled_from([0.2, 0.01, 1e-4]),
)
def test_the_kernel_decides_as_the_reference(
    case: tuple[Shape3, EncoderOptions], missing: int, seed: int, step: float
) -> None:
    shape, options = case
    valid = np.maximum(np.array(shape) - [missing, missing // 2, missing // 3], 1)
    given_volume = jnp.asarray(make_volume(shape, seed))
    arguments = (given_volume, jnp.float32(step), jnp.asarray(valid, jnp.int32))
    check_equal(by_kernel(*arguments, options=options), by_reference(*arguments, options=options))


def test_what_lies_beyond_the_volume_does_not_matter() -> None:
    shape, valid = (24, 40, 16), (20, 33, 13)
    volume, other = make_volume(shape, 0), make_volume(shape, 1)
    other[:20, :33, :13] = volume[:20, :33, :13]
    first, second = (
        by_kernel(jnp.asarray(one), jnp.float32(0.01), jnp.array(valid, jnp.int32)) for one in (volume, other)
    )
    # But for what fills a block that lies across the end.
    assert float(first.cost) == pytest.approx(float(second.cost), rel=0.2)


def test_a_batch_is_decided_one_by_one() -> None:
    volumes = jnp.asarray([make_volume((24, 40, 16), seed) for seed in range(3)])
    valid = jnp.array((24, 40, 16), jnp.int32)
    batch = jax.jit(jax.vmap(shape_decision.choose_shape, (0, None, None)))(volumes, jnp.float32(0.01), valid)
    for index, volume in enumerate(volumes):
        alone = jax.tree.leaves(by_kernel(volume, jnp.float32(0.01), valid))
        for of_batch, of_one in zip(jax.tree.leaves(batch), alone, strict=True):
            np.testing.assert_array_equal(of_batch[index], of_one)
