"""Two-sided geometric distributions of integers, and their frequency tables.

The distributions are a fixed family, part of the format. From one to the next the mean magnitude grows by 2/3
of an octave. All numbers are the same on every machine.
"""

import functools

import numpy as np

from nvc_jax.entropy import frequency_tables, tokens

N_SCALES = 32
"""Number of distributions."""
MAX_MEAN_BITS = 13
"""Bits of the largest mean magnitude of a distribution."""

_THIRDS_OF_SMALLEST_MEAN = -12
"""Smallest mean magnitude, as a power of 4**(1/3): 2**-8."""
_CUBE_ROOTS_OF_POWERS_OF_4 = np.array([1, 1.5874010519681994, 2.519842099789747])
"""Four to the power of 0, 1/3 and 2/3."""
_MIN_SHARE = 2.0**-24
"""Probability below which a token has frequency 0 and follows an escape."""
_SHARE_UNITS, _ESCAPE_SHARE = 2.0**30, 2.0**16
"""Probability 1, and that of the escape, in the units in which probabilities are rounded."""


def powers_of_cube_root(exponents: np.ndarray) -> np.ndarray:
    """Compute 4**(exponents / 3): the same float64 on every machine, unlike a library's power function."""
    return np.ldexp(_CUBE_ROOTS_OF_POWERS_OF_4[exponents % 3], 2 * (exponents // 3))


MEANS = powers_of_cube_root(np.arange(N_SCALES) + _THIRDS_OF_SMALLEST_MEAN)
"""Mean magnitudes of the distributions, float64 (N_SCALES,): 2/3 of an octave apart, from 2**-8."""
DECAYS = (np.sqrt(1 + MEANS**2) - 1) / MEANS
"""Ratios of the probabilities of successive magnitudes in each distribution."""


@functools.cache
def geometric_frequencies() -> np.ndarray:
    """Frequency tables of the distributions, uint16 (N_SCALES, 64).

    They consist of operations that IEEE 754 rounds correctly, and of sums of whole numbers, so they are the
    same on every machine.
    """
    decay = DECAYS[:, None]
    first, count = tokens.token_ranges()
    share = _power(decay, first) * (1 - _power(decay, count)) / (1 + decay)
    share[:, 0] = ((1 - decay) / (1 + decay))[:, 0]
    # A token too rare would take a frequency from the others: it follows an escape instead.
    rounded = np.where(share < _MIN_SHARE, 0, np.floor(share * _SHARE_UNITS))
    escape = np.full((N_SCALES, 1), _ESCAPE_SHARE)
    return frequency_tables.quantize_frequencies(np.append(rounded, escape, axis=1))


def _power(base: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Compute ``base ** exponent`` for whole exponents by squaring."""
    result = np.ones(np.broadcast_shapes(base.shape, exponent.shape))
    for bit in range(int(exponent.max()).bit_length()):
        result = np.where(exponent >> bit & 1, result * base, result)
        base = base * base
    return result
