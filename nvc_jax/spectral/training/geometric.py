"""Two-sided geometric distributions with their own probability of zero, fitted to integers by counting.

The distribution of an integer has two parameters: the probability that it is not zero, and the *decay*, the
probability that its magnitude is larger by one more step. Both follow from three sums over the integers:
their number, the number that is not zero, and the sum of their magnitudes.
"""

import numpy as np

from nvc_jax.entropy import frequency_tables, tokens

_RAREST_TOKEN = 2.0**-14
"""Probability below which a token has no frequency of its own; it is coded by an escape."""

_PRIOR_COUNT, _PRIOR_NONZERO, _PRIOR_MAGNITUDE = 0.2, 0.02, 0.03
"""Added to the three sums, so that distributions without integers are defined: 10 % of these integers are not
zero, and their magnitude is 1.5 on average.
No measurement of the value is on record."""
_P_NONZERO_LIMITS, _DECAY_LIMITS = (1e-4, 0.9999), (0.01, 0.99999)
"""Limits of the parameters: no integer is impossible, and none is certain."""
_PRIOR_TOKENS = 0.5
"""Added to the count of each token that may occur, in the common distribution of ``smooth_counts``."""


def fit_distributions(counts: np.ndarray, nonzero: np.ndarray, magnitudes: np.ndarray) -> tuple:
    """Fit distributions to sums over integers.

    Args:
        counts: number of integers of each distribution.
        nonzero: number of integers that are not zero.
        magnitudes: sum of the magnitudes.

    Returns:
        Probability of not zero, and decay, each of the shape that the arguments broadcast to.
    """
    p_nonzero = np.clip((nonzero + _PRIOR_NONZERO) / (counts + _PRIOR_COUNT), *_P_NONZERO_LIMITS)
    decay = np.clip(1 - (nonzero + _PRIOR_NONZERO) / (magnitudes + _PRIOR_MAGNITUDE), *_DECAY_LIMITS)
    return p_nonzero, decay


def distribution_bits(p_nonzero: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """Compute the bits of integers: of a zero, of a one of either sign, and of each further step.

    Returns:
        float32, the three on the last axis.
    """
    return -np.stack(
        [np.log2(1 - p_nonzero), np.log2(p_nonzero / 2 * (1 - decay)), np.log2(decay)], axis=-1
    ).astype(np.float32)


def token_probabilities(p_nonzero: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """Compute the probability of every token by each distribution.

    Args:
        p_nonzero: (rows,), probability of not zero.
        decay: (rows,).

    Returns:
        (rows, N_TOKENS); 0 for the escape.
    """
    first, count = tokens.token_ranges()
    # Of integers that are not zero: the magnitude is at least the token's first.
    p_reached = decay[:, None] ** np.maximum(first - 1, 0)
    rows = p_nonzero[:, None] / 2 * p_reached * (1 - decay[:, None] ** count)
    rows[:, 0] = 1 - p_nonzero
    return np.pad(rows, ((0, 0), (0, 1)))


def leave_rare_to_escape(probabilities: np.ndarray) -> np.ndarray:
    """Give the share of rare tokens to the escape, which costs 24 bits more.

    Args:
        probabilities: (rows, N_TOKENS), not negative; rows need not sum to 1.

    Returns:
        (rows, N_TOKENS), 0 for rare tokens; the escape has the smallest frequency at least.
    """
    rows = probabilities / probabilities.sum(axis=1, keepdims=True)
    kept = np.where(rows >= _RAREST_TOKEN, rows, 0)
    kept[:, tokens.ESCAPE] = np.maximum(1 - kept.sum(axis=1), 2.0**-frequency_tables.PRECISION)
    return kept


def smooth_counts(counts: np.ndarray, weight: float, n_tokens: int) -> np.ndarray:
    """Mix counts with what all rows have in common, so that rows of few observations are close to it.

    Args:
        counts: (rows, N_TOKENS), how often each token occurs.
        weight: observations that the common distribution counts as.
        n_tokens: number of tokens that may occur; each gets a positive count.

    Returns:
        (rows, N_TOKENS).
    """
    common = (counts.sum(axis=0) + _PRIOR_TOKENS) / (counts.sum() + _PRIOR_TOKENS * n_tokens)
    return np.where(np.arange(counts.shape[1]) < n_tokens, counts + weight * common, 0)
