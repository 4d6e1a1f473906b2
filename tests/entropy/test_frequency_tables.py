import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.entropy import frequency_tables
from nvc_jax.entropy.frequency_tables import PRECISION, bits_of_frequencies, quantize_frequencies
from nvc_jax.entropy.tokens import N_TOKENS

make_tables = jax.jit(frequency_tables.make_tables, static_argnames="with_slots")
find_token = jax.jit(frequency_tables.find_token)


def probabilities() -> np.ndarray:
    """Tables of several shapes, with tokens of probability 0 at the start, in the middle and at the end."""
    rng = np.random.default_rng(0)
    rows = rng.exponential(size=(20, N_TOKENS)) ** np.arange(1, 21)[:, None]
    rows[rng.random(rows.shape) < 0.3] = 0
    rows[0, 0] = rows[1, -1] = 0
    return rows


def test_frequencies_sum_to_the_precision_and_are_0_only_where_probabilities_are() -> None:
    frequencies = quantize_frequencies(probabilities())
    assert frequencies.dtype == np.uint16
    assert (frequencies.sum(axis=1) == 1 << PRECISION).all()
    np.testing.assert_array_equal(frequencies == 0, probabilities() == 0)


def test_rare_tokens_take_frequencies_from_the_common_ones() -> None:
    crowded = np.full((1, N_TOKENS), 1e-9)
    crowded[0, 0] = 1
    np.testing.assert_array_equal(quantize_frequencies(crowded)[0], [4096 - 63, *[1] * 63])


def test_probabilities_that_make_no_table_are_an_error() -> None:
    with pytest.raises(ValueError, match="must be"):
        quantize_frequencies(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="positive sum"):
        quantize_frequencies(np.zeros((2, N_TOKENS)))


def test_slots_name_the_token_in_whose_interval_they_lie() -> None:
    frequencies = quantize_frequencies(probabilities())
    tables = make_tables(jnp.asarray(frequencies))
    assert tables.slots is not None
    slots = np.asarray(tables.slots)
    for row, entries in zip(frequencies.astype(int), slots, strict=True):
        token = np.repeat(np.arange(N_TOKENS), row)
        offset = np.arange(1 << PRECISION) - (np.cumsum(row) - row)[token]
        np.testing.assert_array_equal(entries & 63, token)
        np.testing.assert_array_equal((entries >> 6 & 4095) + 1, row[token])
        np.testing.assert_array_equal(entries >> 18, offset)


def test_tokens_are_found_with_and_without_slots() -> None:
    frequencies = quantize_frequencies(probabilities())
    slot = jnp.arange(1 << PRECISION, dtype=jnp.uint32)
    for with_slots in (False, True):
        tables = make_tables(jnp.asarray(frequencies), with_slots=with_slots)
        for index, row in enumerate(frequencies.astype(int)):
            expected = np.repeat(np.arange(N_TOKENS), row)
            token, frequency, offset = find_token(tables, jnp.full(slot.shape, index), slot)
            np.testing.assert_array_equal(token, expected)
            np.testing.assert_array_equal(frequency, row[expected])
            np.testing.assert_array_equal(
                offset, np.arange(1 << PRECISION) - (np.cumsum(row) - row)[expected]
            )


def test_a_token_takes_the_logarithm_of_its_frequency() -> None:
    frequencies = jnp.array([0, 1, 2, 3, 1 << PRECISION], jnp.uint16)
    expected = [np.inf, PRECISION, PRECISION - 1, PRECISION - np.log2(3), 0]
    np.testing.assert_allclose(bits_of_frequencies(frequencies), expected, rtol=1e-6)
