import numpy as np

from nvc_jax.entropy import tokens
from nvc_jax.spectral.header_contexts import N_HEADER_CONTEXTS, N_LEVELS
from nvc_jax.spectral.training.geometric import token_probabilities
from nvc_jax.spectral.training.header_tables import fit_class_tables, fit_first_tables, levels_of_classes

N_CLASSES = 8


def test_levels_follow_the_energy_of_classes() -> None:
    levels = levels_of_classes(np.array([5.0, 1.0, 9.0, 5.0]))
    assert levels.dtype == np.int32
    np.testing.assert_array_equal(levels, N_LEVELS // 4 * np.array([1, 0, 3, 2]))
    assert levels_of_classes(np.arange(64.0)).min() >= 0
    assert levels_of_classes(np.arange(64.0)).max() < N_LEVELS


def class_counts(n_patterns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts in which contexts have one of a few distributions of classes, whatever the class before.

    Also return the pattern of each context, and the counts without contexts.
    """
    rng = np.random.default_rng(0)
    shares = np.pad(rng.dirichlet(np.full(N_CLASSES, 0.3), n_patterns), ((0, 0), (0, 64 - N_CLASSES)))
    pattern = rng.integers(0, n_patterns, N_HEADER_CONTEXTS)
    counts = np.repeat(1e5 * shares[pattern][:, None], N_CLASSES + 1, axis=1)
    own = counts.sum(axis=0)
    own[:, :N_CLASSES] += 1
    return counts, pattern, own


def test_contexts_of_one_distribution_share_a_further_table() -> None:
    counts, pattern, own = class_counts(4)
    rows, further = fit_class_tables(counts, own)
    assert rows.shape == (N_HEADER_CONTEXTS, N_CLASSES + 1)
    assert further.shape == (N_CLASSES - 1, tokens.N_TOKENS)
    tables = np.concatenate([own, further])
    bits = -np.log2(np.where(tables > 0, tables / tables.sum(axis=1, keepdims=True), 1))
    spent = (counts * bits[rows]).sum()
    without = (counts * bits[np.arange(N_CLASSES + 1)][None]).sum()
    shares = counts / counts.sum(axis=-1, keepdims=True)
    least = -(counts * np.log2(np.where(shares > 0, shares, 1))).sum()
    assert spent - least < 0.05 * (without - least)
    assert (further[:, :N_CLASSES] > 0).all()
    for number in np.unique(pattern):
        of_pattern = rows[pattern == number]
        assert (of_pattern == of_pattern[:1]).all()


def test_contexts_without_headers_keep_their_tables() -> None:
    counts, _, own = class_counts(2)
    rows, _ = fit_class_tables(np.zeros_like(counts), own)
    np.testing.assert_array_equal(rows, np.tile(np.arange(N_CLASSES + 1), (N_HEADER_CONTEXTS, 1)))
    first_rows, sums = fit_first_tables(np.zeros((N_HEADER_CONTEXTS, N_CLASSES, tokens.N_TOKENS)))
    np.testing.assert_array_equal(first_rows, np.tile(np.arange(N_CLASSES), (N_HEADER_CONTEXTS, 1)))
    assert not sums.any()


def test_first_coefficients_take_the_tables_of_their_magnitudes() -> None:
    """The context alone tells the magnitudes: tables come to stand for contexts instead of classes."""
    p_nonzero = np.linspace(0.02, 0.98, N_HEADER_CONTEXTS)
    shares = token_probabilities(p_nonzero, np.linspace(0.1, 0.95, N_HEADER_CONTEXTS))
    rng = np.random.default_rng(0)
    weights = 10 ** rng.uniform(1, 4, (N_HEADER_CONTEXTS, N_CLASSES))
    counts = weights[..., None] * shares[:, None]
    rows, sums = fit_first_tables(counts)
    np.testing.assert_allclose(sums.sum(axis=0), counts.sum(axis=(0, 1)))

    def bits(tables: np.ndarray) -> np.ndarray:
        smooth = tables + 1e-3
        return -np.log2(smooth / smooth.sum(axis=-1, keepdims=True))

    spent, without = (counts * bits(sums)[rows]).sum(), (counts * bits(counts.sum(axis=0))[None]).sum()
    least = (counts * bits(counts)).sum()
    assert spent - least < 0.25 * (without - least)


def test_a_model_of_one_class_has_no_further_tables() -> None:
    counts = np.zeros((N_HEADER_CONTEXTS, 2, tokens.N_TOKENS))
    counts[:, 0, 0] = 5
    rows, further = fit_class_tables(counts, counts.sum(axis=0) + np.eye(1, tokens.N_TOKENS))
    assert rows.max() == 1
    assert further.shape == (0, tokens.N_TOKENS)
