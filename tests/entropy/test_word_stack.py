import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy import word_stack
from nvc_jax.entropy.word_stack import GROUP_LANES

append_words, take_words = jax.jit(word_stack.append_words), jax.jit(word_stack.take_words)


def at_lanes(words: dict[int, int], n_groups: int = 2) -> tuple[jnp.ndarray, jnp.ndarray]:
    """Make the mask and the words of a few lanes."""
    values = np.zeros(n_groups * GROUP_LANES, np.uint32)
    values[list(words)] = list(words.values())
    return jnp.asarray(np.isin(np.arange(len(values)), list(words))), jnp.asarray(values)


def test_the_words_of_a_group_lie_from_its_last_lane_to_its_first() -> None:
    deep, deep_words = at_lanes({0: 1, 2: 3, 33: 7})
    high, high_words = at_lanes({1: 4, 2: 0x10005, 63: 8})
    buffer, tops = jnp.full(16, 9, jnp.uint16), jnp.array([1, 10])
    buffer, tops = append_words(buffer, tops, [deep, high], [deep_words, high_words])
    assert tops.tolist() == [5, 12]
    assert buffer.tolist() == [9, 3, 5, 4, 1, *[9] * 5, 8, 7, *[9] * 4]


@pytest.mark.parametrize("n_masks", [1, 2, 3])
@given(seed=st.integers(0, 2**32 - 1), n_groups=st.sampled_from([1, 3]), share=st.floats(0, 1))
def test_words_are_taken_by_the_lanes_that_appended_them(
    n_masks: int, seed: int, n_groups: int, share: float
) -> None:
    rng, n = np.random.default_rng(seed), n_groups * GROUP_LANES
    masks = [jnp.asarray(rng.random(n) < share) for _ in range(n_masks)]
    words = [jnp.asarray(rng.integers(0, 1 << 16, n), jnp.uint32) for _ in range(n_masks)]
    starts = jnp.arange(n_groups, dtype=jnp.int32) * n_masks * GROUP_LANES
    buffer, tops = append_words(jnp.zeros(n_masks * n, jnp.uint16), starts, masks, words)
    taken, left = take_words(buffer, tops, masks[::-1])
    np.testing.assert_array_equal(left, starts)
    for mask, appended, back in zip(masks, words, taken[::-1], strict=True):
        np.testing.assert_array_equal(np.where(mask, back, 0), np.where(mask, appended, 0))
