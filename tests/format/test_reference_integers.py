"""Integers in one and in several groups of lanes decode as sections 9 to 12 of ``FORMAT.md`` say."""

import numpy as np
import pytest
from reference_common import Shape, take_varints
from reference_integers import decode_coded_integers, decode_sparse_integers

from nvc_jax.entropy.lorenzo import encode_integers
from nvc_jax.entropy.sparse_integers import encode_sparse


@pytest.mark.parametrize(
    ("shape", "n_lanes"), [((4, 4, 5), 1), ((15, 16, 16), 16), ((20, 22, 24), 32), ((28, 32, 32), 96)]
)
def test_coded_integers_decode_from_the_specification(shape: Shape, n_lanes: int) -> None:
    padded_shape = tuple(-(-side // 4) * 4 for side in shape)
    integers = np.rint(np.random.default_rng(0).laplace(0, 4000, shape)).astype(np.int64)
    integers[0, 0, 0] = 1 << 40
    section = encode_integers(integers, padded_shape)
    assert take_varints(section, 1, 12)[0] == [n_lanes]
    np.testing.assert_array_equal(decode_coded_integers(section, shape, padded_shape), integers)


@pytest.mark.parametrize("n", [0, 1, 1000, 30000])
def test_sparse_integers_decode_from_the_specification(n: int) -> None:
    rng, shape = np.random.default_rng(n), (30, 48, 39)
    integers = np.zeros(shape, np.int64)
    positions = np.sort(rng.choice(integers.size, n, replace=False))
    values = np.rint(rng.laplace(0, 300, n)).astype(np.int64)
    values = np.where(values == 0, 1, values)
    integers.reshape(-1)[positions] = values
    section = encode_sparse(positions, values, shape)
    np.testing.assert_array_equal(decode_sparse_integers(section, shape), integers)
