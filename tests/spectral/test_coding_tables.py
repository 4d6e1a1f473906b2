import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nvc_jax
from nvc_jax.entropy.frequency_tables import make_tables
from nvc_jax.spectral import profiles
from nvc_jax.spectral.coding_tables import take_coding_tables


@pytest.mark.parametrize("indices", [[1], [3, 0], [2, 2, 0, 1, 3]])  # fewer than there are profiles, and more
def test_batches_have_the_tables_of_their_profiles(codec: nvc_jax.Codec, indices: list[int]) -> None:
    stacked = codec.params["entropy"]
    frequencies = profiles.shared_frequencies(stacked)

    def rows_of(index: jax.Array) -> jax.Array:
        coding = take_coding_tables(frequencies, index)
        return coding.tables.tokens[coding.first_row + jnp.arange(frequencies.shape[1])]

    batch = jax.jit(jax.vmap(rows_of))(jnp.array(indices, jnp.int32))
    for index, rows in zip(indices, batch, strict=True):
        model = profiles.take_profile(stacked, index)
        expected = make_tables(model.frequencies[: model.n_shared]).tokens
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_array_equal(jax.jit(rows_of)(jnp.int32(index)), expected)


def test_tables_of_all_profiles_are_prepared_once_for_a_batch(codec: nvc_jax.Codec) -> None:
    frequencies = profiles.shared_frequencies(codec.params["entropy"])
    batch = jax.vmap(take_coding_tables, (None, 0), axis_size=9)
    of_all = jax.eval_shape(lambda index: batch(frequencies, index).tables.slots, jnp.zeros(9, jnp.int32))
    assert of_all.shape == (9, len(frequencies) * frequencies.shape[1], 4096)
