import numpy as np
import pytest

from nvc_jax.transform.dct import dct_matrix


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("half_shift", [False, True])
def test_dct_matrices_are_orthonormal(size: int, half_shift: bool) -> None:
    matrix = dct_matrix(size, half_shift)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(size), atol=1e-12)
    assert (np.ptp(matrix[0]) < 1e-12) != half_shift
