import zlib

import numpy as np

from nvc_jax.entropy import frequency_tables, tokens
from nvc_jax.entropy.geometric_distributions import (
    DECAYS,
    MAX_MEAN_BITS,
    MEANS,
    geometric_frequencies,
    powers_of_cube_root,
)


def test_tables_never_change() -> None:
    """A table that differed would make streams undecodable."""
    frequencies = geometric_frequencies()
    assert (frequencies.sum(axis=1) == 1 << frequency_tables.PRECISION).all()
    assert (frequencies[:, tokens.ESCAPE] >= 1).all()
    assert zlib.crc32(frequencies.astype("<u2").tobytes()) == 2764813284


def test_means_grow_by_two_thirds_of_an_octave() -> None:
    np.testing.assert_allclose(np.diff(np.log2(MEANS)), 2 / 3)
    assert MEANS[0] == 2.0**-8
    assert 2.0 ** (MAX_MEAN_BITS - 1) <= MEANS[-1] <= 2.0**MAX_MEAN_BITS
    np.testing.assert_allclose(powers_of_cube_root(np.array([-3, 0, 1, 6])), [1 / 4, 1, 4 ** (1 / 3), 16])


def test_decays_give_the_means() -> None:
    """A two-sided geometric distribution of ratio r has the mean magnitude 2 r / (1 - r²)."""
    np.testing.assert_allclose(2 * DECAYS / (1 - DECAYS**2), MEANS)
