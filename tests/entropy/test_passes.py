import functools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy import frequency_tables, passes, rans
from nvc_jax.entropy.geometric_distributions import geometric_frequencies
from nvc_jax.entropy.word_stream import WordStream

N_PASSES, N_ITEMS, MAX_LANES = 3, 100, 64


@functools.cache
def make_tables() -> frequency_tables.Tables:
    return jax.jit(frequency_tables.make_tables)(jnp.asarray(geometric_frequencies()))


@jax.jit
def encode(
    tables: frequency_tables.Tables, rows: jax.Array, values: jax.Array, counts: jax.Array, n_lanes: jax.Array
) -> WordStream:
    n_words = rans.capacity(values.size + N_PASSES * MAX_LANES, MAX_LANES)
    coder = rans.start_encoding(n_lanes, MAX_LANES, n_words)
    for index in reversed(range(N_PASSES)):
        coder = passes.push_pass(coder, tables, rows[index], values[index], counts[index], n_lanes)
    return rans.finish_encoding(coder, n_lanes)


@jax.jit
def decode(
    tables: frequency_tables.Tables, stream: WordStream, rows: jax.Array, counts: jax.Array
) -> jax.Array:
    coder = rans.start_decoding(stream)
    decoded = []
    for index in range(N_PASSES):
        coder, values = passes.pop_pass(coder, tables, rows[index], counts[index], stream.n_lanes)
        decoded.append(values)
    return jnp.stack(decoded)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, N_ITEMS), min_size=N_PASSES, max_size=N_PASSES),
    st.sampled_from([1, 5, 32, 64]),
)
def test_passes_decode_in_the_order_in_which_tables_become_known(
    seed: int, counts: list[int], n_lanes: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 32, (N_PASSES, N_ITEMS)).astype(np.int32)
    spread = 2.0 ** rng.integers(0, 20, (N_PASSES, N_ITEMS))
    values = np.rint(rng.normal(0, spread)).astype(np.int32)
    stream = encode(make_tables(), rows, values, np.array(counts, np.int32), np.int32(n_lanes))
    decoded = decode(make_tables(), stream, rows, np.array(counts, np.int32))
    coded = np.arange(N_ITEMS)[None] < np.array(counts)[:, None]
    np.testing.assert_array_equal(decoded, np.where(coded, values, 0))
