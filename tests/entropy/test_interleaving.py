import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy.interleaving import Runs, lanes_for, max_lanes_for, share_out
from nvc_jax.entropy.word_stream import WordStream, whole_groups, words_from_bytes, words_to_bytes

share = jax.jit(share_out, static_argnums=2)
at = jax.jit(Runs.at)


@given(st.integers(0, 200), st.sampled_from([1, 7, 20]), st.integers(0, 19))
def test_every_item_belongs_to_one_lane(total: int, max_lanes: int, n_idle: int) -> None:
    runs = share(np.int32(total), np.int32(max(max_lanes - n_idle, 1)), max_lanes)
    items = []
    for step in range(int(runs.length)):
        item, active = (np.asarray(x) for x in at(runs, np.int32(step)))
        items.extend(item[active])
    assert sorted(items) == list(range(total))


def test_lanes_are_few_for_short_streams_and_limited_by_blocks() -> None:
    assert int(lanes_for(jnp.float32(0), 1000, 4096)) == 1
    assert int(lanes_for(jnp.float32(5500), 1000, 4096)) == 5
    assert int(lanes_for(jnp.float32(45500), 1000, 4096)) == 32
    assert int(lanes_for(jnp.float32(1e9), 1000, 4096)) == max_lanes_for(4096) == 512
    assert [max_lanes_for(n) for n in (1, 3, 4, 100, 8000)] == [1, 1, 2, 32, 992]


def test_more_lanes_than_a_group_are_whole_groups() -> None:
    assert [whole_groups(n) for n in (1, 31, 32, 33, 63, 64, 100)] == [1, 31, 32, 32, 32, 64, 96]


def stream_of(group_words: list[int], n_lanes: int) -> WordStream:
    words = np.zeros(400, np.uint16)
    words[: sum(group_words)] = np.arange(1, sum(group_words) + 1) * 257
    return WordStream(jnp.asarray(words), jnp.array(group_words), jnp.int32(n_lanes))


@pytest.mark.parametrize(
    ("group_words", "n_lanes"), [([3, 0, 0, 0], 1), ([64, 200, 0, 0], 64), ([64, 150, 64, 0], 96)]
)
def test_words_come_back_from_bytes(group_words: list[int], n_lanes: int) -> None:
    stream = stream_of(group_words, n_lanes)
    stored = words_to_bytes(stream)
    assert len(stored) == int(stream.stored_bytes)
    back = words_from_bytes(stored, n_lanes, 128, 400)
    for field, expected in zip(back, stream, strict=True):
        np.testing.assert_array_equal(field, expected)


def test_the_words_of_all_groups_but_the_last_are_stated_first() -> None:
    stored = words_to_bytes(stream_of([64, 130, 64, 0], 96))
    assert stored[:3] == bytes([64, 130, 1])
    assert stored[3:7] == b"\x01\x01\x02\x02"


@pytest.mark.parametrize(
    ("stored", "n_lanes", "capacity"),
    [
        (bytes(5), 1, 400),
        (bytes(6), 0, 400),
        (bytes(6), 2, 400),
        (bytes(6), 129, 400),
        (bytes(6), 1, 2),
        (bytes([64]) + bytes(256), 33, 400),
        (bytes([63]) + bytes(256), 64, 400),
        (bytes([65]) + bytes(256), 64, 400),
        (bytes([255, 255, 3]) + bytes(256), 64, 400),
    ],
)
def test_impossible_numbers_of_words_and_lanes_are_an_error(
    stored: bytes, n_lanes: int, capacity: int
) -> None:
    with pytest.raises(ValueError, match="a stream's header"):
        words_from_bytes(stored, n_lanes, 128, capacity)
