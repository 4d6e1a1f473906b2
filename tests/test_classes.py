import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax import classes, entropy

N_LATENTS, N_CLASSES, N_TABLES = 6, 4, 3
LENGTHS = (1, 3, 6, 6)


def make_model() -> classes.ClassModel:
    decay = np.array([0.05, 0.5, 0.9])
    values = np.arange(-60000, 60001)
    tokens = np.asarray(entropy.to_token(jnp.asarray(values, jnp.int32))[0])
    weights = decay[:, None] ** np.abs(values)[None]
    # A trace of every token, the escape included.
    probabilities = 1e-4 + np.stack([np.bincount(tokens, row, entropy.N_TOKENS) for row in weights])
    zero = -np.log2((1 - decay) / (1 + decay))
    bits = np.stack([zero, zero - np.log2(decay), -np.log2(decay)], axis=1)
    means = np.repeat(probabilities[2:], N_CLASSES, axis=0)
    tables = np.array([[2, 0, 0, 0, 0, 0], [2, 1, 1, 0, 0, 0], [2, 1, 1, 1, 1, 1], [2] * 6])
    tables[:, 0] = N_TABLES + np.arange(N_CLASSES)
    uniform = np.ones((N_CLASSES + 1, entropy.N_TOKENS)) * (np.arange(entropy.N_TOKENS) < N_CLASSES)
    return classes.ClassModel(
        frequencies=jnp.asarray(entropy.quantize_frequencies(np.concatenate([probabilities, means]))),
        bits=jnp.asarray(bits, jnp.float32),
        shrink=jnp.full((N_TABLES, 2), 0.05, jnp.float32),
        order=jnp.arange(N_LATENTS, dtype=jnp.int32),
        tables=jnp.asarray(tables, jnp.int32),
        lengths=jnp.asarray(LENGTHS, jnp.int32),
        class_frequencies=jnp.asarray(entropy.quantize_frequencies(uniform)),
        class_bits=jnp.full(N_CLASSES, 2, jnp.float32),
    )


MODEL = make_model()
encode = jax.jit(classes.encode_stream)
decode = jax.jit(classes.decode_stream, static_argnums=4)


def random_blocks(n: int, rng: np.random.Generator, scale: int) -> tuple[np.ndarray, np.ndarray]:
    chosen = rng.integers(0, N_CLASSES, n)
    values = rng.integers(-scale, scale + 1, (n, N_LATENTS))
    values[np.arange(N_LATENTS)[None] >= np.array(LENGTHS)[chosen][:, None]] = 0
    return values.astype(np.int32), chosen.astype(np.int32)


@pytest.mark.parametrize(("n", "lanes"), [(1, 1), (15, 1), (16, 1), (33, 2), (100, 1), (100, 4), (100, 6)])
def test_streams_round_trip(n: int, lanes: int) -> None:
    values, chosen = random_blocks(n, np.random.default_rng(n), 5)
    words, used = encode(MODEL, jnp.asarray(values), jnp.asarray(chosen), jnp.int32(lanes))
    assert words.shape == (classes.stream_capacity(n, N_LATENTS),)
    decoded, decoded_classes = decode(MODEL, words, used, jnp.int32(lanes), n)
    np.testing.assert_array_equal(decoded, values)
    np.testing.assert_array_equal(decoded_classes, chosen)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 9, 300, entropy.MAX_MAGNITUDE]))
def test_any_integers_round_trip(seed: int, scale: int) -> None:
    values, chosen = random_blocks(40, np.random.default_rng(seed), scale)
    words, used = encode(MODEL, jnp.asarray(values), jnp.asarray(chosen), jnp.int32(2))
    assert int(used) <= words.shape[0]
    decoded, decoded_classes = decode(MODEL, words, used, jnp.int32(2), 40)
    np.testing.assert_array_equal(decoded, values)
    np.testing.assert_array_equal(decoded_classes, chosen)


def test_streams_are_near_what_their_tables_allow() -> None:
    n = 4096
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, N_CLASSES, n)
    table = np.asarray(MODEL.tables)[chosen]
    p = 1 - np.array([0.05, 0.5, *[0.9] * (1 + N_CLASSES)])[table]
    values = rng.geometric(p) - rng.geometric(p)
    values[np.arange(N_LATENTS)[None] >= np.array(LENGTHS)[chosen][:, None]] = 0
    token, _, extra = (np.asarray(x) for x in entropy.to_token(jnp.asarray(values, jnp.int32)))
    ideal = entropy.PRECISION - np.log2(np.asarray(MODEL.frequencies, float)[table, token]) + extra
    coded = np.arange(N_LATENTS)[None] < np.array(LENGTHS)[chosen][:, None]
    class_table = np.asarray(MODEL.class_frequencies, float)[0]
    ideal_bits = ideal[coded].sum() + (entropy.PRECISION - np.log2(class_table[chosen])).sum()
    n_lanes = 8
    _, used = encode(MODEL, *(jnp.asarray(x, jnp.int32) for x in (values, chosen)), jnp.int32(n_lanes))
    assert ideal_bits / 16 <= int(used) <= 1.005 * ideal_bits / 16 + 2 * n_lanes


def test_decisions_take_the_cheapest_class_that_keeps_what_matters() -> None:
    quiet = np.zeros((1, N_LATENTS), np.float32)
    loud = np.full((1, N_LATENTS), 8.0, np.float32)
    few = np.array([[7, 2, -2, 0.1, 0.2, 0]], np.float32)
    integers, chosen, bits = classes.decide(MODEL, jnp.asarray(np.concatenate([quiet, loud, few])))
    np.testing.assert_array_equal(chosen, [0, 3, 1])
    np.testing.assert_array_equal(integers, [[0] * 6, [8] * 6, [7, 2, -2, 0, 0, 0]])
    assert bits[0] < bits[2] < bits[1]


@given(st.integers(0, 2**32 - 1))
def test_decided_integers_lie_near_their_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal((8, N_LATENTS)) * rng.choice([0.1, 1, 20])).astype(np.float32)
    integers, chosen, _ = classes.decide(MODEL, jnp.asarray(values))
    coded = np.arange(N_LATENTS)[None] < np.array(LENGTHS)[np.asarray(chosen)][:, None]
    assert np.abs(np.asarray(integers) - values)[coded].max() <= 1.3
    assert (np.asarray(integers)[~coded] == 0).all()
    restored = np.asarray(classes.restore(MODEL, integers, chosen))
    assert np.abs(restored - np.asarray(integers)).max() <= 0.0501


def test_damaged_streams_end() -> None:
    words = np.random.default_rng(0).integers(0, 1 << 16, classes.stream_capacity(40, N_LATENTS))
    decoder = functools.partial(decode, MODEL, jnp.asarray(words, jnp.uint16))
    for used in (words.size, 4, 50):
        values, chosen = decoder(jnp.int32(used), jnp.int32(2), 40)
        assert values.shape == (40, N_LATENTS)
        assert 0 <= int(chosen.min()) <= int(chosen.max()) < N_CLASSES
