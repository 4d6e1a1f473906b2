import numpy as np
import pytest

from nvc_jax.lattice.geometry import N_LEVEL_GROUPS
from nvc_jax.lattice.plan import MAX_FIXED, find, fix_volume, plan_stream

SHAPE = (40, 32, 32)


def test_weights_are_fitted_only_where_that_saves_bytes() -> None:
    flat, small = (
        fix_volume(np.full(SHAPE, 7), 4, SHAPE),
        fix_volume(np.arange(24).reshape(2, 3, 4), 0, SHAPE),
    )
    assert plan_stream(flat).weights == plan_stream(small).weights == [None] * N_LEVEL_GROUPS
    plane = np.random.default_rng(0).integers(0, 1000, (1, *SHAPE[1:]))
    assert plan_stream(fix_volume(np.repeat(plane, SHAPE[0], axis=0), 0, SHAPE)).weights[0] is not None


def test_fitted_weights_cost_less() -> None:
    plane = np.random.default_rng(0).integers(0, 1000, (1, *SHAPE[1:])).astype(np.int32)
    found = find(fix_volume(np.repeat(plane, SHAPE[0], axis=0), 0, SHAPE))
    assert found.by_fit.costs[:7].sum() < 0.9 * found.by_default.costs[:7].sum()


def test_values_beyond_the_limits_are_an_error() -> None:
    for value in (MAX_FIXED, -MAX_FIXED):
        with pytest.raises(ValueError, match="limits"):
            fix_volume(np.full(SHAPE, value), 0, SHAPE)
    with pytest.raises(ValueError, match="fraction bits"):
        fix_volume(np.zeros(SHAPE, int), 7, SHAPE)
