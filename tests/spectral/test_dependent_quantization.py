import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.spectral import dependent_quantization

# Compiled as a whole: one program for a shape takes less time than one for each operation.
select_quantizers = jax.jit(dependent_quantization.select_quantizers)


def by_definition(integers: np.ndarray) -> np.ndarray:
    """1 where the sum of the integers one, three, five … positions before is odd."""
    sums = [
        integers[:, position - 1 :: -2].sum(axis=1) if position else 0 * integers[:, 0]
        for position in range(integers.shape[1])
    ]
    return np.stack(sums, axis=1) % 2


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 31, 32, 33, 64, 100, 511]))
def test_quantizers_follow_from_the_integers_before(seed: int, length: int) -> None:
    integers = np.random.default_rng(seed).integers(-4, 5, (3, length))
    quantizers = select_quantizers(jnp.asarray(integers, jnp.int32))
    np.testing.assert_array_equal(quantizers, by_definition(integers))


def test_a_state_carries_what_the_next_integers_need() -> None:
    integers = np.random.default_rng(1).integers(-4, 5, (5, 100))
    expected, state = by_definition(integers), jnp.zeros(5, jnp.int32)
    for position in range(100):
        assert (state < 2**dependent_quantization.STATE_BITS).all()
        np.testing.assert_array_equal(dependent_quantization.next_quantizer(state), expected[:, position])
        state = dependent_quantization.next_state(state, jnp.asarray(integers[:, position], jnp.int32))


def test_points_are_whole_steps_or_zero_and_odd_half_steps() -> None:
    integers = jnp.arange(-9, 10, dtype=jnp.int32)
    for quantizer in (0, 1):
        points = dependent_quantization.to_points(integers, jnp.int32(quantizer))
        nearest_first = np.abs(np.asarray(points))[10:]
        np.testing.assert_array_equal(nearest_first, np.arange(2, 20, 2) - quantizer)
        np.testing.assert_array_equal(np.sign(points), np.sign(integers))
        np.testing.assert_array_equal(dependent_quantization.to_integers(points), integers)


def test_points_of_the_largest_integers_are_exact() -> None:
    integers = jnp.array([-(1 << 23) + 1, (1 << 23) - 1], jnp.int32)
    for quantizer in (0, 1):
        points = jax.jit(dependent_quantization.to_points)(integers, jnp.int32(quantizer))
        np.testing.assert_array_equal(dependent_quantization.to_integers(points), integers)
