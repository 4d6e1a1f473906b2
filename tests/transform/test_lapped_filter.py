import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.transform.block_modes import LAPPED, PLAIN, uniform_plan
from nvc_jax.transform.lapped_filter import (
    FILTERS,
    border_matrix,
    filter_depth,
    filter_rotation,
    filter_tables,
)


@pytest.mark.parametrize("name", FILTERS)
def test_filters_keep_constants_and_are_symmetric(name: str) -> None:
    matrix = border_matrix(filter_rotation(name))
    np.testing.assert_allclose(matrix @ np.ones(8), np.ones(8), atol=1e-12)
    np.testing.assert_allclose(matrix[::-1, ::-1], matrix, atol=1e-12)
    is_orthonormal = np.allclose(matrix @ matrix.T, np.eye(8))
    assert is_orthonormal == (name in ("none", "orthonormal"))


def test_half_is_between_none_and_biorthogonal() -> None:
    none, half, biorthogonal = (filter_rotation(name) for name in ("none", "half", "biorthogonal"))
    np.testing.assert_allclose(half, (none + biorthogonal) / 2, atol=1e-12)


def test_norms_are_1_where_no_border_is_crossed() -> None:
    norms = filter_tables().norms.reshape(len(FILTERS), 3, 4, 8)
    np.testing.assert_allclose(norms[:, :, 0], 1, atol=1e-6)
    np.testing.assert_allclose(norms[FILTERS.index("orthonormal")], 1, atol=1e-6)
    assert np.abs(norms[FILTERS.index("biorthogonal"), :, 3] - 1).max() > 0.05


@pytest.mark.parametrize("index", range(len(FILTERS)))
def test_the_filter_along_z_has_an_inverse_and_stops_at_plain_blocks(index: int) -> None:
    volume = np.random.default_rng(0).random((24, 8, 16)).astype(np.float32)
    tables, count = filter_tables(), jnp.array(volume.shape, jnp.int32)
    plan = uniform_plan(LAPPED, (3, 1, 2), count)
    filtered = filter_depth(jnp.asarray(volume), plan, tables.changes, jnp.int32(index))
    matrix = border_matrix(filter_rotation(FILTERS[index]))
    expected = volume.copy()
    for border in (8, 16):
        around = slice(border - 4, border + 4)
        expected[around] = np.tensordot(matrix, volume[around], axes=1)
    np.testing.assert_allclose(filtered, expected, atol=1e-5)
    back = filter_depth(filtered, plan, tables.inverse_changes, jnp.int32(index))
    np.testing.assert_allclose(back, volume, atol=1e-5)
    plain = uniform_plan(PLAIN, (3, 1, 2), count)
    same = filter_depth(jnp.asarray(volume), plain, tables.changes, jnp.int32(index))
    np.testing.assert_array_equal(same, volume)
