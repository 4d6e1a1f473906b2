import numpy as np
import pytest

from nvc_jax.transform.lapped_filter import FILTERS, border_matrices, border_matrix, filter_rotation


@pytest.mark.parametrize("name", FILTERS)
def test_filters_keep_constants_and_are_symmetric(name: str) -> None:
    matrix = border_matrix(filter_rotation(name))
    np.testing.assert_allclose(matrix @ np.ones(8), np.ones(8), atol=1e-12)
    np.testing.assert_allclose(matrix[::-1, ::-1], matrix, atol=1e-12)
    is_orthonormal = np.allclose(matrix @ matrix.T, np.eye(8))
    assert is_orthonormal == (name in ("none", "orthonormal"))
    assert np.allclose(matrix, np.eye(8)) == (name == "none")


def test_half_is_between_none_and_biorthogonal() -> None:
    none, half, biorthogonal = (filter_rotation(name) for name in ("none", "half", "biorthogonal"))
    np.testing.assert_allclose(half, (none + biorthogonal) / 2, atol=1e-12)


def test_matrices_of_all_filters_have_their_inverses() -> None:
    matrices, inverses = border_matrices()
    assert matrices.shape == inverses.shape == (len(FILTERS), 8, 8)
    assert matrices.dtype == inverses.dtype == np.float32
    np.testing.assert_allclose(matrices @ inverses, np.broadcast_to(np.eye(8), matrices.shape), atol=1e-6)
    for name, matrix in zip(FILTERS, matrices, strict=True):
        np.testing.assert_allclose(matrix, border_matrix(filter_rotation(name)), atol=1e-7)
