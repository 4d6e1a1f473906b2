import numpy as np
import pytest

from nvc_jax.entropy import tokens
from nvc_jax.spectral.neighbour_contexts import N_CONTEXTS
from nvc_jax.spectral.training.context_tables import exchange_tables
from nvc_jax.spectral.training.geometric import token_probabilities

N_TABLES = 4
PROBABILITIES = np.concatenate([token_probabilities(np.array([0.05, 0.3, 0.6, 0.9]), np.full(4, 0.5))] * 2)
"""Tables of two quantisers, from small to large integers."""


@pytest.mark.parametrize("n_quantizers", [1, 2])
def test_integers_get_the_table_of_their_distribution(n_quantizers: int) -> None:
    probabilities = PROBABILITIES[: n_quantizers * N_TABLES]
    wanted = np.random.default_rng(0).integers(0, N_TABLES, (N_CONTEXTS, len(probabilities)))
    wanted += np.arange(len(probabilities)) // N_TABLES * N_TABLES  # of the same quantiser
    rows = exchange_tables(1e6 * probabilities[wanted], probabilities, n_quantizers)
    assert rows.dtype == np.int32
    np.testing.assert_array_equal(rows, wanted)


def test_few_integers_stay_with_their_table() -> None:
    counts = np.zeros((N_CONTEXTS, len(PROBABILITIES), tokens.N_TOKENS))
    counts[..., 5] = 1
    rows = exchange_tables(counts, PROBABILITIES, 2)
    np.testing.assert_array_equal(rows, np.tile(np.arange(len(PROBABILITIES)), (N_CONTEXTS, 1)))


def test_tables_without_a_token_cost_an_escape() -> None:
    """The first table codes zeros and ones only: an integer of 3 takes 24 bits more there."""
    few = np.zeros(tokens.N_TOKENS)
    few[:3] = 0.98, 0.01, 0.01
    counts = np.zeros((N_CONTEXTS, 2, tokens.N_TOKENS))
    counts[1, 0, 0], counts[1, 0, 5] = 1000, 30
    rows = exchange_tables(counts, np.stack([few, PROBABILITIES[0]]), 1)
    assert rows[1, 0] == 1
    assert rows[0, 0] == 0
