import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.entropy.joined_stacks import join_by_kernel, join_by_steps, join_reference


@pytest.mark.parametrize("group_words", [[700], [0], [3, 0, 700, 40], [500, 500, 500, 500]])
def test_words_of_groups_follow_each_other(group_words: list[int]) -> None:
    n_words = 2100  # more than two programs move
    share = n_words // len(group_words)
    words = np.random.default_rng(0).integers(1, 1 << 16, n_words).astype(np.uint16)
    bases = np.arange(len(group_words)) * share
    wanted = np.zeros_like(words)
    parts = [words[base : base + n] for base, n in zip(bases, group_words, strict=True)]
    wanted[: sum(group_words)] = np.concatenate(parts)
    arguments = (jnp.asarray(words), jnp.asarray(bases, jnp.int32), jnp.asarray(group_words, jnp.int32))
    np.testing.assert_array_equal(join_reference(*arguments), wanted)
    np.testing.assert_array_equal(join_by_steps(*arguments), wanted)
    np.testing.assert_array_equal(join_by_kernel(*arguments, interpret=True), wanted)
