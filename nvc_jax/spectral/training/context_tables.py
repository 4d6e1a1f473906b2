"""Tables of integers by their contexts: the table that codes those of a context in the fewest bits.

A model with contexts has no more tables than a model without. In a context, the integers of one table are
coded by another table of the same quantiser, whose distribution is like theirs.
"""

import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy import tokens
from nvc_jax.spectral.training.geometric import leave_rare_to_escape

_PRIOR = 300
"""Tokens by the table's own distribution that are added to those of each context: few tokens stay with it."""


def exchange_tables(counts: np.ndarray, probabilities: np.ndarray, n_quantizers: int) -> np.ndarray:
    """Find the table that codes the integers of each context and table in the fewest bits.

    The tables are not fitted to the integers that they get: that saved nothing on test volumes, as encoders
    decide by the bits of tables without contexts, which then are not those of their integers any more.

    Args:
        counts: (C, Q·R, 64), number of times that each token is coded, by context and table.
        probabilities: (Q·R, 64), of the tokens of each table; rows need not sum to 1.
        n_quantizers: Q.

    Returns:
        int32 (C, Q·R).
    """
    n_contexts, n_shared, _ = counts.shape
    weighted = counts + _PRIOR * probabilities / probabilities.sum(axis=1, keepdims=True)
    bits = token_bits(probabilities)
    rows = np.zeros((n_contexts, n_shared), np.int32)
    for part in np.split(np.arange(n_shared), n_quantizers):
        costs = weighted[:, part].reshape(-1, tokens.N_TOKENS) @ bits[part].T
        rows[:, part] = part[costs.argmin(axis=1)].reshape(n_contexts, -1)
    return rows


def token_bits(probabilities: np.ndarray) -> np.ndarray:
    """Compute the bits of all tokens by each table, without their extra bits."""
    kept = leave_rare_to_escape(probabilities)
    n_extra_bits = np.asarray(tokens.n_extra_bits(jnp.arange(tokens.N_TOKENS, dtype=jnp.uint32)))
    escape_bits = tokens.ESCAPE_BITS - n_extra_bits - np.log2(kept[:, tokens.ESCAPE :])
    return np.where(kept > 0, -np.log2(np.where(kept > 0, kept, 1)), escape_bits)
