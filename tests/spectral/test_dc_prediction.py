import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.spectral import dc_prediction
from nvc_jax.spectral.dc_prediction import DC_PREDICTORS

predict_dc = jax.jit(dc_prediction.predict_dc)
accumulate_dc = jax.jit(dc_prediction.accumulate_dc)
GRID = (3, 4, 5)


def differences_along(dc: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    for axis in axes:
        dc = np.diff(dc, axis=axis, prepend=0)
    return dc


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 50, 30000]))
def test_dc_comes_back_from_its_differences(seed: int, scale: int) -> None:
    dc = np.random.default_rng(seed).integers(-scale, scale + 1, GRID).astype(np.int32)
    differences, predictor = predict_dc(jnp.asarray(dc))
    np.testing.assert_array_equal(differences, differences_along(dc, DC_PREDICTORS[int(predictor)]))
    np.testing.assert_array_equal(accumulate_dc(differences, predictor), dc)


@pytest.mark.parametrize("predictor", range(len(DC_PREDICTORS)))
def test_every_predictor_is_inverted(predictor: int) -> None:
    dc = np.random.default_rng(0).integers(-900, 900, GRID).astype(np.int32)
    differences = jnp.asarray(differences_along(dc, DC_PREDICTORS[predictor]).astype(np.int32))
    np.testing.assert_array_equal(accumulate_dc(differences, jnp.int32(predictor)), dc)


@pytest.mark.parametrize(
    ("varying_axes", "expected"), [((0, 1, 2), ()), ((0, 1), (2,)), ((0,), (1, 2)), ((), (0, 1, 2))]
)
def test_differences_are_taken_along_axes_on_which_dc_is_constant(
    varying_axes: tuple, expected: tuple
) -> None:
    n_steps = np.indices(GRID)[list(varying_axes)].sum(axis=0)
    dc = np.where(n_steps % 2, -500, 500).astype(np.int32)  # differences along these axes are larger
    _, predictor = predict_dc(jnp.asarray(dc))
    assert DC_PREDICTORS[int(predictor)] == expected


def test_the_predictor_is_the_one_of_the_fewest_bits() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        dc = np.cumsum(rng.integers(-9, 10, GRID), axis=rng.integers(3)).astype(np.int32)
        bits = [np.log2(1.0 + np.abs(differences_along(dc, axes))).sum() for axes in DC_PREDICTORS]
        _, predictor = predict_dc(jnp.asarray(dc))
        assert bits[int(predictor)] <= min(bits) + 1e-3
