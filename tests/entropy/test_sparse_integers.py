import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvc_jax.entropy import sparse_integers


def encode(integers: np.ndarray) -> bytes:
    positions = sparse_integers.find_by_blocks(integers != 0)
    return sparse_integers.encode_sparse(positions, integers.reshape(-1)[positions], integers.shape)


def round_trip(integers: np.ndarray) -> bytes:
    stored = encode(integers)
    decoded = np.zeros_like(integers)
    positions, values = sparse_integers.decode_sparse(stored, integers.shape)
    decoded.reshape(-1)[positions] = values
    np.testing.assert_array_equal(decoded, integers)
    assert (values != 0).all()
    return stored


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
    st.sampled_from([1, 2, 50, 2**22]),
    st.tuples(*(st.integers(1, 17) for _ in range(3))),
)
def test_any_integers_come_back(seed: int, share: float, most: int, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    integers = rng.integers(-most, most, shape, endpoint=True)
    round_trip(np.where(rng.random(shape) < share, integers, 0))


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.tuples(*(st.integers(1, 17) for _ in range(3))))
def test_voxels_are_found_block_by_block(seed: int, share: float, shape: tuple[int, int, int]) -> None:
    marks = np.random.default_rng(seed).random(shape) < share
    z, y, x = np.nonzero(marks)
    order = np.lexsort((x, y, z, x // 8, y // 8, z // 8))
    expected = np.ravel_multi_index((z, y, x), shape)[order]
    np.testing.assert_array_equal(sparse_integers.find_by_blocks(marks), expected)


def test_the_order_of_positions_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    positions, values = rng.permutation(20 * 20 * 20)[:500], rng.integers(1, 9, 500)
    stored = {
        sparse_integers.encode_sparse(positions[order], values[order], (20, 20, 20))
        for order in (np.argsort(positions), np.arange(500))
    }
    assert len(stored) == 1


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
def test_rare_signs_take_few_bits_more_than_their_entropy(share: float) -> None:
    rng = np.random.default_rng(0)
    integers = np.where(rng.random((64, 64, 64)) < share, rng.choice([-1, 1], (64, 64, 64)), 0)
    entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share) + share
    assert 8 * len(round_trip(integers)) < 1.12 * entropy * integers.size + 400


def test_only_zeros_take_a_few_bytes() -> None:
    assert len(round_trip(np.zeros((20, 20, 20), np.int64))) == 3


STORED = encode(np.eye(20, dtype=np.int64)[None] * 3)


@pytest.mark.parametrize("length", [0, 5, 10, len(STORED) - 1])
def test_cut_integers_are_an_error(length: int) -> None:
    with pytest.raises(ValueError, match=r"sparse|contradicts|cut short"):
        sparse_integers.decode_sparse(STORED[:length], (1, 20, 20))


def test_integers_of_other_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match="outside"):
        sparse_integers.decode_sparse(STORED, (1, 20, 12))
    with pytest.raises(ValueError, match="sparse"):
        sparse_integers.decode_sparse(STORED, (1, 1, 2))
