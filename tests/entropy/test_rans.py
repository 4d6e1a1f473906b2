import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy import frequency_tables, rans
from nvc_jax.entropy import tokens as tokens_module

LIMIT = tokens_module.MAX_MAGNITUDE
SPREADS = (0.3, 1.0, 4.0, 30.0)


def frequencies() -> np.ndarray:
    """Tables for two-sided geometric integers of several spreads."""
    values = np.arange(-200000, 200001)
    tokens = np.asarray(tokens_module.to_token(jnp.asarray(values, jnp.int32))[0])
    rows = []
    for spread in SPREADS:
        weights = np.exp(-np.abs(values) / spread)
        row = np.bincount(tokens, weights, tokens_module.N_TOKENS) / weights.sum()
        row[row < 1e-5] = 0  # the first tables lack large integers: these escape
        row[tokens_module.ESCAPE] = 1e-4
        rows.append(row)
    return frequency_tables.quantize_frequencies(np.stack(rows))


FREQUENCIES = frequencies()


@functools.partial(jax.jit, static_argnums=3)
def encode(values: jax.Array, rows: jax.Array, active: jax.Array, n_words: int) -> tuple:
    tables = frequency_tables.make_tables(jnp.asarray(FREQUENCIES))
    coder = rans.start_encoding(values.shape[1], n_words)

    def step(coder: rans.Coder, inputs: tuple) -> tuple:
        return rans.push(coder, tables, *inputs), None

    coder, _ = jax.lax.scan(step, coder, (rows, values, active), reverse=True)
    return rans.finish_encoding(coder, jnp.int32(values.shape[1]))


@jax.jit
def decode(words: jax.Array, used: jax.Array, rows: jax.Array, active: jax.Array) -> tuple:
    tables = frequency_tables.make_tables(jnp.asarray(FREQUENCIES))
    coder = rans.start_decoding(words, used, jnp.int32(rows.shape[1]), rows.shape[1])

    def step(coder: rans.Coder, inputs: tuple) -> tuple:
        return rans.pop(coder, tables, *inputs)

    return jax.lax.scan(step, coder, (rows, active))


def round_trip(values: np.ndarray, rows: np.ndarray, active: np.ndarray) -> int:
    """Encode and decode; returns the words used."""
    n_words = rans.WORDS_PER_INTEGER * values.size + 2 * values.shape[1]
    given_values = jnp.asarray(values, jnp.int32)
    words, used = encode(given_values, jnp.asarray(rows), jnp.asarray(active), n_words)
    assert int(used) <= n_words
    coder, decoded = decode(words, used, jnp.asarray(rows), jnp.asarray(active))
    np.testing.assert_array_equal(decoded, np.where(active, values, 0))
    # All is read, and the states are those that encoding began with.
    assert int(coder.used) == 0
    np.testing.assert_array_equal(coder.states, np.full(values.shape[1], 1 << 16))
    return int(used)


@given(st.data())
def test_any_integers_round_trip(data: st.DataObject) -> None:
    shape = (7, 5)  # one shape: one compilation
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    scale = data.draw(st.sampled_from([0, 1, 10, 1000, LIMIT]))
    values = np.clip(rng.integers(-scale, scale + 1, shape), -LIMIT, LIMIT)
    if data.draw(st.booleans()):
        values[rng.random(shape) < 0.3] = rng.choice([-LIMIT, LIMIT])
    rows = rng.integers(0, len(SPREADS), shape).astype(np.int32)
    active = rng.random(shape) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    round_trip(values, rows, active)


@pytest.mark.parametrize("row", range(len(SPREADS)))
def test_sizes_are_near_the_ideal(row: int) -> None:
    rng = np.random.default_rng(row)
    shape = (4000, 16)
    p = 1 - np.exp(-1 / SPREADS[row])
    values = (rng.geometric(p, shape) - rng.geometric(p, shape)).astype(np.int32)
    token, _, n_bits = (np.asarray(x) for x in tokens_module.to_token(jnp.asarray(values)))
    table = FREQUENCIES[row].astype(float)
    lacking = table[token] == 0
    token, n_bits = np.where(lacking, tokens_module.ESCAPE, token), np.where(lacking, 24, n_bits)
    ideal_bits = float(np.sum(frequency_tables.PRECISION - np.log2(table[token]) + n_bits))
    used = round_trip(values, np.full(shape, row, np.int32), np.ones(shape, bool))
    assert ideal_bits / 16 <= used <= 1.005 * ideal_bits / 16 + 2 * shape[1]


def test_the_worst_case_fits_the_buffer() -> None:
    values = np.full((300, 4), LIMIT)
    used = round_trip(values, np.zeros_like(values), np.ones(values.shape, bool))
    assert used > 2 * values.size


def test_tables_of_these_tests_lack_tokens() -> None:
    assert (FREQUENCIES[:, tokens_module.ESCAPE] >= 1).all()
    assert (FREQUENCIES[0] == 0).any()
    assert (FREQUENCIES.sum(axis=1) == 1 << frequency_tables.PRECISION).all()


def test_damaged_streams_decode_to_something() -> None:
    words = jnp.asarray(np.random.default_rng(0).integers(0, 1 << 16, 100), jnp.uint16)
    rows, active = jnp.zeros((200, 4), jnp.int32), jnp.ones((200, 4), bool)
    for used in (100, 8, 30):
        _, values = decode(words, jnp.int32(used), rows, active)
        assert values.shape == (200, 4)


def test_bits_of_active_lanes_come_back() -> None:
    bits, active = jnp.array([3, 1, 2, 0], jnp.uint32), jnp.array([True, False, True, True])
    coder = rans.start_encoding(4, 16)
    for _ in range(20):  # more than a state holds
        coder = rans.push_bits(coder, bits, 2, active)
    words, used = rans.finish_encoding(coder, jnp.int32(4))
    assert int(used) > 2 * 4
    coder = rans.start_decoding(words, used, jnp.int32(4), 4)
    for _ in range(20):
        coder, popped = rans.pop_bits(coder, 2, active)
        np.testing.assert_array_equal(popped, jnp.where(active, bits, 0))


@pytest.mark.parametrize("with_slots", [True, False])
def test_tokens_without_extra_bits_come_back(with_slots: bool) -> None:
    rng = np.random.default_rng(0)
    n_steps, n_lanes = 50, 6
    rows = jnp.asarray(rng.integers(0, len(SPREADS), (n_steps, n_lanes)), jnp.int32)
    tokens = jnp.asarray(rng.integers(0, 3, (n_steps, n_lanes)), jnp.uint32)
    active = jnp.asarray(rng.random((n_steps, n_lanes)) < 0.8)
    tables = frequency_tables.make_tables(jnp.asarray(FREQUENCIES), with_slots=with_slots)
    coder = rans.start_encoding(n_lanes, 2 * n_steps * n_lanes)
    for step in reversed(range(n_steps)):
        coder = rans.push_token(coder, tables, rows[step], tokens[step], active[step])
    words, used = rans.finish_encoding(coder, jnp.int32(n_lanes))
    coder = rans.start_decoding(words, used, jnp.int32(n_lanes), n_lanes)
    for step in range(n_steps):
        coder, token = rans.pop_token(coder, tables, rows[step], active[step])
        np.testing.assert_array_equal(token[active[step]], tokens[step][active[step]])
    assert int(coder.used) == 0
