import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.batching import varying_like
from nvc_jax.entropy import frequency_tables, rans
from nvc_jax.entropy.interleaving import (
    CPU_WIDTHS,
    lanes_for,
    max_lanes_for,
    read_words,
    share_out,
    used_words,
    with_width,
)
from nvc_jax.entropy.tokens import N_TOKENS

N_ITEMS, MAX_LANES = 300, 64
N_WORDS = rans.WORDS_PER_INTEGER * N_ITEMS + 2 * MAX_LANES
FREQUENCIES = frequency_tables.quantize_frequencies(0.9 ** np.arange(N_TOKENS)[None])
VALUES = jnp.asarray(np.random.default_rng(0).geometric(0.1, N_ITEMS) - 5, jnp.int32)


@functools.partial(jax.jit, static_argnames="widths")
def encode(values: jax.Array, n_lanes: jax.Array, widths: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Code integers in a loop over lanes that is compiled for some widths."""
    tables = frequency_tables.make_tables(jnp.asarray(FREQUENCIES))

    def push_all(width: int) -> rans.Coder:
        runs = share_out(len(values), n_lanes, width)

        def push(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
            item, active = runs.at(runs.length - 1 - backwards)
            value = values[jnp.minimum(item, len(values) - 1)]
            return rans.push(coder, tables, jnp.zeros(width, jnp.int32), value, active)

        coder = varying_like(values, rans.start_encoding(width, N_WORDS))
        return rans.widen(jax.lax.fori_loop(0, runs.length, push, coder), MAX_LANES)

    return rans.finish_encoding(with_width(n_lanes, MAX_LANES, push_all, widths), n_lanes)


@functools.partial(jax.jit, static_argnames="widths")
def decode(words: jax.Array, used: jax.Array, n_lanes: jax.Array, widths: tuple[int, ...]) -> jax.Array:
    tables = frequency_tables.make_tables(jnp.asarray(FREQUENCIES))
    coder = rans.start_decoding(words, used, n_lanes, MAX_LANES)

    def pop_all(width: int) -> jax.Array:
        runs = share_out(N_ITEMS, n_lanes, width)

        def pop(step: jax.Array, state: tuple) -> tuple:
            coder, values = state
            item, active = runs.at(step)
            coder, value = rans.pop(coder, tables, jnp.zeros(width, jnp.int32), active)
            return coder, values.at[jnp.where(active, item, N_ITEMS)].set(value, mode="drop")

        state = (rans.narrow(coder, width), jnp.zeros(N_ITEMS, jnp.int32))
        return jax.lax.fori_loop(0, runs.length, pop, state)[1]

    return with_width(n_lanes, MAX_LANES, pop_all, widths)


@pytest.mark.parametrize("widths", [(16, 4), (32,), CPU_WIDTHS])
def test_a_stream_does_not_depend_on_the_width_of_loops(widths: tuple[int, ...]) -> None:
    for n in (1, 4, 5, 16, 17, 32, 33, MAX_LANES):
        words, used = encode(VALUES, jnp.int32(n), ())
        narrow_words, narrow_used = encode(VALUES, jnp.int32(n), widths)
        np.testing.assert_array_equal(narrow_words[: int(narrow_used)], words[: int(used)])
        np.testing.assert_array_equal(decode(words, used, jnp.int32(n), widths), VALUES)


def test_a_loop_is_as_wide_as_needed_on_a_cpu() -> None:
    """And of a width that was compiled for."""
    width = jax.jit(lambda n: with_width(n, 100, lambda width: jnp.int32(width), (60, 50, 10)))
    chosen = {n: int(width(jnp.int32(n))) for n in (1, 10, 11, 50, 51, 100)}
    if jax.default_backend() == "cpu":
        assert chosen == {1: 10, 10: 10, 11: 50, 50: 50, 51: 100, 100: 100}
    else:
        assert set(chosen.values()) == {100}


@given(st.integers(0, 200), st.integers(1, 20), st.integers(0, 5))
def test_every_item_belongs_to_one_lane(total: int, n_lanes: int, n_idle: int) -> None:
    runs = share_out(total, jnp.int32(n_lanes), n_lanes + n_idle)
    items = []
    for step in range(int(runs.length)):
        item, active = (np.asarray(x) for x in runs.at(jnp.int32(step)))
        items.extend(item[active])
    assert sorted(items) == list(range(total))


def test_lanes_are_few_for_short_streams_and_limited_by_blocks() -> None:
    assert int(lanes_for(jnp.float32(0), 1000, 4096)) == 1
    assert int(lanes_for(jnp.float32(5500), 1000, 4096)) == 5
    assert int(lanes_for(jnp.float32(1e9), 1000, 4096)) == max_lanes_for(4096) == 512
    assert [max_lanes_for(n) for n in (1, 3, 4, 100, 8000)] == [1, 1, 2, 50, 1000]


def test_words_come_back_from_bytes() -> None:
    words = jnp.array([1, 0x0203, 65535, 7, 9], jnp.uint16)
    stored = used_words(words, 3)
    assert stored == b"\x01\x00\x03\x02\xff\xff"
    back, used = read_words(stored, 1, 8, 10)
    assert used == 3
    np.testing.assert_array_equal(back, [1, 0x0203, 65535, *[0] * 7])


@pytest.mark.parametrize(
    ("n_bytes", "n_lanes", "capacity"), [(5, 1, 10), (6, 0, 10), (6, 2, 10), (6, 5, 10), (6, 1, 2)]
)
def test_impossible_numbers_of_words_and_lanes_are_an_error(
    n_bytes: int, n_lanes: int, capacity: int
) -> None:
    with pytest.raises(ValueError, match="contradicts"):
        read_words(bytes(n_bytes), n_lanes, 8, capacity)
