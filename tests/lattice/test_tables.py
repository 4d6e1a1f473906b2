import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy.tokens import ESCAPE
from nvc_jax.lattice import tables


def random_counts(seed: int, n_contexts: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    counts = np.zeros((tables.N_CONTEXTS, tables.N_CLASSES + 1), np.int64)
    for context in rng.integers(0, tables.N_CONTEXTS, n_contexts):
        decay = rng.random()
        codes = np.minimum(rng.geometric(1 - 0.98 * decay, rng.integers(1, 2000)) - 1, tables.N_CLASSES - 1)
        counts[context, :-1] = np.bincount(codes, minlength=tables.N_CLASSES)
        counts[context, -1] = (counts[context, 1:-1].sum() * rng.random()).astype(int)
    return counts


@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_tables_come_back_and_have_all_codes(seed: int, n_contexts: int) -> None:
    counts = random_counts(seed, n_contexts)
    fitted, bits = tables.fit_tables(counts)
    stored = tables.pack_tables(fitted)
    read, size = tables.unpack_tables(stored + b"\xff\xff", len(fitted.starts), fitted.merging)
    assert size == len(stored)
    assert bits > 8 * (size - 1)
    np.testing.assert_array_equal(read.starts, fitted.starts)
    np.testing.assert_array_equal(read.signs, fitted.signs)

    frequencies = tables.frequencies_of(read)
    assert frequencies.sum(1).tolist() == [4096] * len(frequencies)
    assert (frequencies[:, ESCAPE] > 0).all()
    rows = tables.rows_of_contexts(read)
    for context in np.flatnonzero(counts.any(1)):
        present = np.flatnonzero(counts[context, :-1])
        assert (frequencies[rows[context], 2 * present] > 0).all()


@pytest.mark.parametrize("stored", [b"", b"\x00", b"\x00\x00\x00\x00", b"\x01" + bytes(20), bytes(6)])
def test_impossible_tables_are_an_error(stored: bytes) -> None:
    with pytest.raises(ValueError, match="lattice"):
        tables.unpack_tables(stored, 2, tables.Merging(True, True))
    with pytest.raises(ValueError, match="lattice"):
        tables.unpack_tables(stored, 0, tables.Merging(True, True))


def test_classes_are_those_of_the_tokens() -> None:
    codes = np.array([0, -1, 8, 9, -10, 11, 12, (1 << 23) - 1])
    assert tables.class_of(codes).tolist() == [0, 1, 8, 9, 10, 10, 11, 31]
