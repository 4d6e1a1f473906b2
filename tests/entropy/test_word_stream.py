import numpy as np
import pytest
from jax import numpy as jnp

from nvc_jax.entropy.word_stream import fetch_words, send_words

CAPACITY = 40_000


@pytest.mark.parametrize("used", [0, 1, 16_385, CAPACITY])
def test_words_that_are_used_travel_to_a_device_and_back(used: int) -> None:
    words = np.zeros(CAPACITY, np.uint16)
    words[:used] = np.random.default_rng(used).integers(1, 1 << 16, used)
    on_device = send_words(words, used)
    np.testing.assert_array_equal(on_device, words)
    np.testing.assert_array_equal(fetch_words(on_device, used), words[:used])
    several = jnp.stack([on_device, on_device[::-1]])
    np.testing.assert_array_equal(fetch_words(several, used), np.stack([words[:used], words[::-1][:used]]))
