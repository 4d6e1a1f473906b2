import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.header_fields import encode_varints
from nvc_jax.entropy import frequency_tables, rans
from nvc_jax.entropy import tokens as tokens_module
from nvc_jax.entropy.word_stack import GROUP_LANES
from nvc_jax.entropy.word_stream import WordStream, n_groups_of, varint_bytes

LIMIT = tokens_module.MAX_MAGNITUDE
SPREADS = (0.3, 1.0, 4.0, 30.0)
# Compiled as a whole: one program for a shape takes less time than one for each operation.
to_token = jax.jit(tokens_module.to_token)
start_encoding = jax.jit(rans.start_encoding, static_argnums=(1, 2))
finish_encoding, start_decoding = jax.jit(rans.finish_encoding), jax.jit(rans.start_decoding)
ends_well = jax.jit(rans.ends_well)
make_tables = jax.jit(frequency_tables.make_tables, static_argnames="with_slots")


def frequencies() -> np.ndarray:
    """Tables for two-sided geometric integers of several spreads."""
    values = np.arange(-200000, 200001)
    tokens = np.asarray(to_token(jnp.asarray(values, jnp.int32))[0])
    rows = []
    for spread in SPREADS:
        weights = np.exp(-np.abs(values) / spread)
        row = np.bincount(tokens, weights, tokens_module.N_TOKENS) / weights.sum()
        row[row < 1e-5] = 0  # the first tables lack large integers: these escape
        row[tokens_module.ESCAPE] = 1e-4
        rows.append(row)
    return frequency_tables.quantize_frequencies(np.stack(rows))


FREQUENCIES = frequencies()


def to_lanes(array: jax.Array) -> jax.Array:
    """Add idle lanes, up to whole groups."""
    n_lanes = array.shape[-1]
    missing = n_groups_of(n_lanes) * GROUP_LANES - n_lanes
    return jnp.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])


@functools.cache
def shared_tables() -> frequency_tables.Tables:
    return make_tables(jnp.asarray(FREQUENCIES))


@jax.jit
def encode(
    tables: frequency_tables.Tables, values: jax.Array, rows: jax.Array, active: jax.Array
) -> WordStream:
    n_lanes = values.shape[1]
    coder = rans.start_encoding(jnp.int32(n_lanes), n_lanes, rans.capacity(values.size, n_lanes))

    def step(coder: rans.Coder, inputs: tuple) -> tuple:
        return rans.push(coder, tables, *inputs), None

    inputs = tuple(map(to_lanes, (rows, values, active)))
    coder, _ = jax.lax.scan(step, coder, inputs, reverse=True)
    return rans.finish_encoding(coder, jnp.int32(n_lanes))


@jax.jit
def decode(tables: frequency_tables.Tables, stream: WordStream, rows: jax.Array, active: jax.Array) -> tuple:
    def step(coder: rans.Coder, inputs: tuple) -> tuple:
        return rans.pop(coder, tables, *inputs)

    coder, values = jax.lax.scan(step, rans.start_decoding(stream), (to_lanes(rows), to_lanes(active)))
    return values[:, : rows.shape[1]], rans.ends_well(coder, stream)


def round_trip(values: np.ndarray, rows: np.ndarray, active: np.ndarray) -> int:
    """Encode and decode; returns the words used."""
    stream = encode(shared_tables(), values.astype(np.int32), rows, active)
    used = int(stream.group_words.sum())
    assert used <= rans.WORDS_PER_INTEGER * values.size + 2 * values.shape[1]
    decoded, ends_well = decode(shared_tables(), stream, rows, active)
    np.testing.assert_array_equal(decoded, np.where(active, values, 0))
    # All is read, and the states are those that encoding began with.
    assert ends_well
    return used


@given(st.data())
def test_any_integers_round_trip(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(7, 5), (4, 96)]))  # two shapes: two compilations
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
    token, _, n_bits = (np.asarray(x) for x in to_token(jnp.asarray(values)))
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
        stream = WordStream(words, jnp.array([used]), jnp.int32(4))
        values, ends_well = decode(shared_tables(), stream, rows, active)
        assert values.shape == (200, 4)
        assert not ends_well


def test_bits_of_active_lanes_come_back() -> None:
    push_bits = jax.jit(rans.push_bits, static_argnums=2)
    pop_bits = jax.jit(rans.pop_bits, static_argnums=1)
    bits = to_lanes(jnp.array([3, 1, 2, 0], jnp.uint32))
    active = to_lanes(jnp.array([True, False, True, True]))
    coder = start_encoding(jnp.int32(4), 4, rans.capacity(20, 4))
    for _ in range(20):  # more than a state holds
        coder = push_bits(coder, bits, 2, active)
    stream = finish_encoding(coder, jnp.int32(4))
    assert stream.group_words.tolist() > [2 * 4]
    coder = start_decoding(stream)
    for _ in range(20):
        coder, popped = pop_bits(coder, 2, active)
        np.testing.assert_array_equal(popped, jnp.where(active, bits, 0))


@pytest.mark.parametrize("with_slots", [True, False])
def test_tokens_without_extra_bits_come_back(with_slots: bool) -> None:
    rng = np.random.default_rng(0)
    n_steps, n_lanes = 50, 64
    rows = rng.integers(0, len(SPREADS), (n_steps, n_lanes)).astype(np.int32)
    tokens = rng.integers(0, 3, (n_steps, n_lanes)).astype(np.uint32)
    active = rng.random((n_steps, n_lanes)) < 0.8
    tables = make_tables(jnp.asarray(FREQUENCIES), with_slots=with_slots)
    coder = start_encoding(jnp.int32(n_lanes), n_lanes, rans.capacity(n_steps * n_lanes, n_lanes))
    push, pop = jax.jit(rans.push_token), jax.jit(rans.pop_token)
    for step in reversed(range(n_steps)):
        coder = push(coder, tables, rows[step], tokens[step], active[step])
    stream = finish_encoding(coder, jnp.int32(n_lanes))
    coder = start_decoding(stream)
    for step in range(n_steps):
        coder, token = pop(coder, tables, rows[step], active[step])
        np.testing.assert_array_equal(np.asarray(token)[active[step]], tokens[step][active[step]])
    assert ends_well(coder, stream)


def test_bytes_of_varints_are_counted() -> None:
    numbers = [0, 127, 128, 16383, 16384, 2**21, 2**28, 2**31 - 1]
    expected = [len(encode_varints(number)) for number in numbers]
    assert varint_bytes(jnp.array(numbers, jnp.int32)).tolist() == expected
