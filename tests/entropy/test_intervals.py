import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy import intervals, rans
from nvc_jax.entropy.word_stream import WordStream

N, MAX_LANES = 40, 32


@jax.jit
def encode(packed: jax.Array, count: jax.Array, n_lanes: jax.Array) -> WordStream:
    coder = rans.start_encoding(n_lanes, MAX_LANES, N + rans.WORDS_PER_LANE * MAX_LANES)
    return rans.finish_encoding(intervals.push_batch(coder, packed, count, n_lanes), n_lanes)


@jax.jit
def decode(stream: WordStream, ends: jax.Array, count: jax.Array) -> tuple:
    coder, symbols = intervals.pop_batch(rans.start_decoding(stream), ends, count, stream.n_lanes)
    return symbols, rans.ends_well(coder, stream)


def draw_ends(rng: np.random.Generator) -> np.ndarray:
    """Ends of three intervals, some of which are empty or as large as they can be."""
    ends = rng.integers(0, intervals.WHOLE + 1, (3, N))
    extreme = rng.integers(0, 3, N)
    ends = np.where(extreme == 0, intervals.WHOLE, np.where(extreme == 1, [[1], [2], [3]], ends))
    return np.sort(ends, axis=0).astype(np.uint32)


@given(st.integers(0, 2**32 - 1), st.integers(0, N), st.integers(1, MAX_LANES))
def test_symbols_decode_by_the_intervals_that_they_were_coded_by(seed: int, count: int, n_lanes: int) -> None:
    rng = np.random.default_rng(seed)
    ends = draw_ends(rng)
    symbols = (rng.integers(0, intervals.WHOLE, N) >= ends).sum(axis=0).astype(np.int32)
    packed = intervals.pack_intervals(jnp.asarray(ends), jnp.asarray(symbols))
    decoded, ends_well = decode(encode(packed, np.int32(count), np.int32(n_lanes)), ends, np.int32(count))
    np.testing.assert_array_equal(decoded, np.where(np.arange(N) < count, symbols, 0))
    assert ends_well


def test_certain_symbols_take_nothing() -> None:
    ends = jnp.full((3, N), intervals.WHOLE, jnp.uint32)
    packed = intervals.pack_intervals(ends, jnp.zeros(N, jnp.int32))
    np.testing.assert_array_equal(packed, intervals.CERTAIN)
    stream = encode(packed, np.int32(N), np.int32(2))
    assert stream.group_words.tolist() == [4]
    np.testing.assert_array_equal(stream.words[:4], [1, 0, 1, 0])
