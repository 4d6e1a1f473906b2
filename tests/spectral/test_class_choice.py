import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from spectral_blocks import MODEL

from nvc_jax.entropy import frequency_tables, tokens
from nvc_jax.spectral import class_choice
from nvc_jax.spectral.class_decision import COST_UNITS
from nvc_jax.spectral.entropy_model import EntropyModel

choose_classes = jax.jit(class_choice.choose_classes)
choose_reference = jax.jit(class_choice.choose_reference)
signalling_of = jax.jit(class_choice.signalling_bits)


def succession(seed: int, n: int, n_classes: int = 3) -> tuple[EntropyModel, np.ndarray, np.ndarray]:
    """A model whose classes cost by the class before, bits of n blocks in each class, and their order.

    Bits are whole numbers of units.
    """
    rng = np.random.default_rng(seed)
    frequencies = np.zeros((n_classes + 1, tokens.N_TOKENS), np.uint16)
    frequencies[:, :n_classes] = rng.integers(1, 2000, (n_classes + 1, n_classes))
    model = MODEL._replace(
        class_frequencies=frequencies,
        class_bits=np.full(n_classes, 2, np.float32),
        tables=np.zeros((n_classes, 512), np.int32),
    )
    bits = rng.integers(0, 12 * COST_UNITS, (n, n_classes)).astype(np.float32) / COST_UNITS
    return model, bits, rng.permutation(n).astype(np.int32)


def signalling_bits(model: EntropyModel) -> np.ndarray:
    """Bits of a class by the class before, float64."""
    n_classes = len(model.class_bits)
    return frequency_tables.PRECISION - np.log2(np.asarray(model.class_frequencies, float)[:, :n_classes])


def total_bits(model: EntropyModel, bits: np.ndarray, classes: np.ndarray) -> float:
    """Bits of blocks in the order in which they are coded, with the signalling of their classes."""
    before = np.concatenate([[len(model.class_bits)], classes[:-1]])
    return bits[np.arange(len(classes)), classes].sum() + signalling_bits(model)[before, classes].sum()


def choose(model: EntropyModel, bits: np.ndarray, order: np.ndarray, n: int) -> np.ndarray:
    costs = (bits * COST_UNITS).astype(np.int32)
    return np.asarray(choose_classes(signalling_of(model), costs, order, np.int32(n))[0])


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_every_second_class_is_the_cheapest_between_its_neighbours(seed: int, n: int) -> None:
    model, bits, order = succession(seed, n)
    classes = choose(model, bits, order, n)[order]
    one_by_one = (bits[order] + 2).argmin(axis=1)
    best = total_bits(model, bits[order], classes)
    assert best <= total_bits(model, bits[order], one_by_one) + 1e-3
    for position in range(1, n, 2):
        for other in range(bits.shape[1]):
            changed = np.where(np.arange(n) == position, other, classes)
            assert best <= total_bits(model, bits[order], changed) + 1e-3


def test_blocks_outside_the_volume_do_not_change_the_others_classes() -> None:
    model, bits, order = succession(0, 9)
    without = choose(model, bits[order[:5]], np.arange(5, dtype=np.int32), 5)
    np.testing.assert_array_equal(without, choose(model, bits, order, 5)[order[:5]])


@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 16, 37]), st.integers(0, 40))
def test_of_all_classes_the_first_one_of_the_lowest_cost_is_taken(
    seed: int, n_classes: int, n_blocks: int
) -> None:
    model, bits, order = succession(seed, 40, n_classes)
    bits = np.rint(bits / 4).astype(np.float32)  # many are equal
    given_before = np.asarray(
        frequency_tables.bits_of_frequencies(model.class_frequencies.astype(np.float32))
    )
    of_after = np.zeros((n_classes + 1, n_classes), np.float32)
    of_after[:-1] = given_before[:n_classes, :n_classes].T
    classes = (bits[order] + 2).argmin(axis=1)
    for parity in (0, 1):
        for k in range(parity, 40, 2):
            before, after = (
                classes[k + d] if 0 <= k + d < 40 and k + d < n_blocks else n_classes for d in (-1, 1)
            )
            classes[k] = (bits[order[k]] + given_before[before, :n_classes] + of_after[after]).argmin()
    np.testing.assert_array_equal(choose(model, bits, order, n_blocks)[order], classes)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 5, 16, 37]), st.integers(0, 40))
def test_the_kernel_equals_the_reference(seed: int, n_classes: int, n_blocks: int) -> None:
    model, bits, order = succession(seed, 40, n_classes)
    arguments = ((bits * COST_UNITS).astype(np.int32), *signalling_of(model), order, np.int32(n_blocks))
    expected, total = choose_reference(*arguments)
    classes, estimated = choose_classes(signalling_of(model), arguments[0], order, np.int32(n_blocks))
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_allclose(estimated, total, rtol=1e-5)
    coded = order[:n_blocks]
    own = bits[coded, np.asarray(classes)[coded]].sum() + 2 * n_blocks
    np.testing.assert_allclose(estimated, own, rtol=1e-5)
