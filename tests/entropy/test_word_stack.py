import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy.word_stack import append_words, take_words


def test_words_lie_in_the_order_of_masks_and_lanes() -> None:
    masks = [jnp.array([True, False, True]), jnp.array([False, True, True])]
    words = [jnp.array([1, 2, 3], jnp.uint32), jnp.array([4, 5, 0x10006], jnp.uint32)]
    stack = jnp.array([9, 0, 0, 0, 0, 0], jnp.uint16)
    stack, used = append_words(stack, jnp.int32(1), masks, words)
    assert int(used) == 5
    np.testing.assert_array_equal(stack[:5], [9, 1, 3, 5, 6])


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 31, 32, 33, 100]), st.floats(0, 1))
def test_words_are_taken_by_the_lanes_that_appended_them(seed: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    masks = [jnp.asarray(rng.random(n) < share) for _ in range(2)]
    words = [jnp.asarray(rng.integers(0, 1 << 16, n), jnp.uint32) for _ in range(2)]
    stack, used = append_words(jnp.zeros(3 * n, jnp.uint16), jnp.int32(n), masks, words)
    taken, left = take_words(stack, used, masks)
    assert int(left) == n
    for mask, appended, back in zip(masks, words, taken, strict=True):
        np.testing.assert_array_equal(jnp.where(mask, back, 0), jnp.where(mask, appended, 0))
