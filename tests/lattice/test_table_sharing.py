import numpy as np
import pytest

from nvc_jax.lattice.table_sharing import merge_runs, share_tables


def random_counts(seed: int, n_contexts: int = 300, n_classes: int = 12) -> np.ndarray:
    """Make counts of geometric distributions that differ from context to context, some without any code."""
    rng = np.random.default_rng(seed)
    decay = np.clip(np.repeat(rng.random(n_contexts // 10), 10) + rng.normal(0, 0.03, n_contexts), 0.01, 0.97)
    expected = rng.integers(0, 5, n_contexts) ** 6 * np.exp(rng.normal(0, 1, n_contexts))
    shares = expected[:, None] * decay[:, None] ** np.arange(n_classes)
    counts = rng.poisson(shares)
    return np.column_stack([counts, rng.binomial(counts[:, 1:].sum(1), 0.4)]).astype(np.int64)


@pytest.mark.parametrize("seed", range(8))
def test_the_kernel_shares_the_same_tables(seed: int) -> None:
    counts = random_counts(seed) * (1 if seed % 2 else 1 << seed)
    for max_tables in (160, 9):
        own, reference = (share_tables(counts, max_tables, by_kernel=by) for by in (True, False))
        assert 1 <= len(own.starts) <= max_tables
        for field, expected in zip(own, reference, strict=True):
            np.testing.assert_array_equal(field, expected)


def test_runs_have_the_counts_of_their_contexts() -> None:
    counts = random_counts(0)
    runs = merge_runs(counts, 1.0)
    assert runs.starts[0] == 0
    assert (np.diff(runs.starts) > 0).all()
    np.testing.assert_array_equal(runs.counts, np.add.reduceat(counts, runs.starts))


def test_bits_are_the_entropy_and_those_of_the_tables() -> None:
    counts = np.array([[700, 200, 100, 150]])
    shares = np.array([0.7, 0.2, 0.1])
    entropy = -1000 * (shares @ np.log2(shares)) - 300 * (0.5 * np.log2(0.5) + 0.5 * np.log2(0.5))
    tables = 10 + 5 + 5 * (1 + 2)
    assert merge_runs(counts, 1.0).bits == pytest.approx([entropy + tables], rel=1e-14)


def test_contexts_that_are_alike_share_a_table() -> None:
    alike = np.array([[70, 20, 10, 15], [140, 40, 20, 30], [0, 0, 0, 0], [0, 1000, 3000, 2000]])
    assert merge_runs(alike, 1.0).starts.tolist() == [0, 3]
