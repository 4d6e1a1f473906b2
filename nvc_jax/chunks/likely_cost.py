"""The likely cost of a chunk on a lattice, by the estimate of its plan.

The estimate knows the codes of samples that are predicted from exact neighbours. Decoded neighbours are off,
the more so the fewer bits a value takes: a lattice then takes up to several times its estimate. Where much of
a chunk is flat, the coder adapts to that better than the estimate tells. The shares below are typical of 90
volumes, at three steps and under three bounds; where they vary much, they are those of a good lattice.
"""

import numpy as np

from nvc_jax.lattice.estimate import Counts, Estimate

_BITS_OF_VALUE = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0)
"""Estimated bits of a value for which the rows below tell the shares; they are interpolated."""
_BITS = (3.0, 2.3, 1.5, 1.25, 1.08, 1.0, 0.96, 0.955, 0.97)
"""Likely share of the estimated bits."""
_BITS_IN_FLAT = (2.0, 1.6, 1.0, 0.85, 0.78, 0.74, 0.8, 0.9, 0.95)
"""The same where much of the chunk is flat."""
_ERROR = (2.0, 1.7, 1.45, 1.45, 1.25, 1.05, 0.99, 0.98, 0.92)
"""Likely share of the estimated squared error."""
_ERROR_IN_FLAT = (1.5, 1.5, 1.2, 1.1, 1.0, 0.95, 0.95, 0.95, 0.95)
"""The same where much of the chunk is flat."""
_FLAT = (0.6, 0.6, 0.6, 0.6, 0.5, 0.45, 0.4, 0.3, 0.3)
"""Share of codes in the context of the least activity from which on much of the chunk is flat."""
_FACTOR_OF_GAPS = 1.1
"""Factor of the bits where some values are not valid: they are neighbours, too."""


def correct_estimate(estimate: Estimate, counts: Counts, n_valid: int, *, has_gaps: bool) -> Estimate:
    """Estimate the bits and errors that a lattice is likely to have.

    Args:
        estimate: of the bits and errors.
        counts: of the samples that it is based on.
        n_valid: number of valid values.
        has_gaps: whether there are others.
    """
    bits_of_value = estimate.bits / max(n_valid, 1)
    flat = counts.histogram[0].sum() / max(int(counts.histogram.sum()), 1)
    is_flat = flat > np.interp(bits_of_value, _BITS_OF_VALUE, _FLAT)
    bits, error = (_BITS_IN_FLAT, _ERROR_IN_FLAT) if is_flat else (_BITS, _ERROR)
    return Estimate(
        estimate.bits
        * float(np.interp(bits_of_value, _BITS_OF_VALUE, bits))
        * (_FACTOR_OF_GAPS if has_gaps else 1),
        estimate.squared_error * float(np.interp(bits_of_value, _BITS_OF_VALUE, error)),
    )
