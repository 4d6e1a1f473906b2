import itertools
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.spectral import dc_prediction
from nvc_jax.spectral.dc_prediction import DC_PREDICTORS
from nvc_jax.transform import separable
from nvc_jax.transform.block_layout import N_COEFFICIENTS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import AxisTransform, TransformShape

predict_dc = jax.jit(dc_prediction.predict_dc)
predict_first = jax.jit(dc_prediction.predict_first, static_argnums=2)
predict_first_reference = jax.jit(dc_prediction.predict_first_reference, static_argnums=0)
accumulate_dc = jax.jit(dc_prediction.accumulate_dc)
accumulate_dc_reference = jax.jit(dc_prediction.accumulate_dc_reference)
make_axis_transforms = jax.jit(separable.make_axis_transforms, static_argnums=0)
GRID = (6, 4, 8)
PADDED = (48, 32, 64)


def transforms_of(valid_shape: Shape3, lengths: Iterable[int]) -> list[AxisTransform]:
    shape = TransformShape(jnp.array(list(lengths), jnp.int32), jnp.zeros(3, jnp.int32))
    return make_axis_transforms(PADDED, jnp.array(valid_shape, jnp.int32), shape, jnp.int32(0))


SHORT = transforms_of(PADDED, (0, 0, 0))
"""Segments of one block: all first coefficients are DC."""


def dc_blocks(transforms: list[AxisTransform]) -> tuple[np.ndarray, ...]:
    """Indices of the blocks that have DC, for NumPy's indexing of (z, y, x)."""
    return np.ix_(*(np.flatnonzero(transform.is_dc) for transform in transforms))


def differences_along(dc: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    for axis in axes:
        dc = np.diff(dc, axis=axis, prepend=0)
    return dc


def expected_differences(
    first: np.ndarray, transforms: list[AxisTransform], axes: tuple[int, ...]
) -> np.ndarray:
    """Differences of DC alone, as if only blocks with DC existed."""
    differences, blocks = first.copy(), dc_blocks(transforms)
    differences[blocks] = differences_along(first[blocks], axes)
    return differences


valid_shapes = st.tuples(*(st.one_of(st.just(side), st.integers(1, side)) for side in PADDED))
lengths = st.tuples(*[st.integers(0, len(SEGMENT_LENGTHS) - 1)] * 3)


@given(valid_shapes, lengths, st.integers(0, len(DC_PREDICTORS) - 1), st.integers(0, 2**32 - 1))
def test_the_kernel_equals_the_reference(
    valid_shape: Shape3, lengths: Iterable[int], predictor: int, seed: int
) -> None:
    """Sums beyond int32 wrap around in both."""
    transforms = transforms_of(valid_shape, lengths)
    differences = np.random.default_rng(seed).integers(-(2**31), 2**31, GRID).astype(np.int32)
    arguments = (jnp.asarray(differences), jnp.int32(predictor))
    marks = [transform.is_dc for transform in transforms]
    np.testing.assert_array_equal(
        accumulate_dc(*arguments, transforms), accumulate_dc_reference(*arguments, marks)
    )


@given(valid_shapes, lengths, st.integers(0, 2**32 - 1), st.sampled_from([0.1, 5.0, 3e3, 1e9]))
def test_the_kernel_that_predicts_equals_the_reference(
    valid_shape: Shape3, lengths: Iterable[int], seed: int, size: float
) -> None:
    transforms, rng = transforms_of(valid_shape, lengths), np.random.default_rng(seed)
    n = math.prod(GRID)
    values = np.zeros((n, N_COEFFICIENTS), np.float32)
    values[:, 0] = np.cumsum(rng.normal(0, size, GRID), axis=rng.integers(3)).reshape(-1)
    values[rng.random(n) < 0.2, 0] = 2.5  # of two integers as near, the even one
    inside = jnp.asarray(rng.random(n) < 0.8)
    differences, predictor = predict_first(jnp.asarray(values), inside, GRID, transforms)
    expected, of_reference = predict_first_reference(GRID, jnp.asarray(values), inside, transforms)
    if int(predictor) == int(of_reference):
        np.testing.assert_array_equal(differences, expected)
    else:  # sums of bits are rounded
        bits = [np.log2(1 + np.abs(np.asarray(one, np.float64))).sum() for one in (differences, expected)]
        np.testing.assert_allclose(*bits, rtol=1e-5)
        first = accumulate_dc(expected, of_reference, transforms)
        np.testing.assert_array_equal(accumulate_dc(differences, predictor, transforms), first)


def test_predictors_take_differences_along_all_sets_of_axes() -> None:
    subsets = itertools.chain.from_iterable(itertools.combinations(range(3), n) for n in range(4))
    assert list(DC_PREDICTORS) == list(subsets)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 50, 30000]), valid_shapes, lengths)
def test_first_coefficients_come_back_from_their_differences(
    seed: int, scale: int, valid_shape: Shape3, lengths: tuple[int, ...]
) -> None:
    transforms = transforms_of(valid_shape, lengths)
    first = np.random.default_rng(seed).integers(-scale, scale + 1, GRID).astype(np.int32)
    differences, predictor = predict_dc(jnp.asarray(first), transforms)
    expected = expected_differences(first, transforms, DC_PREDICTORS[int(predictor)])
    np.testing.assert_array_equal(differences, expected)
    np.testing.assert_array_equal(accumulate_dc(differences, predictor, transforms), first)


@given(st.integers(0, len(DC_PREDICTORS) - 1), valid_shapes, lengths)
def test_every_predictor_is_inverted(predictor: int, valid_shape: Shape3, lengths: tuple[int, ...]) -> None:
    transforms = transforms_of(valid_shape, lengths)
    first = np.random.default_rng(0).integers(-900, 900, GRID).astype(np.int32)
    differences = jnp.asarray(expected_differences(first, transforms, DC_PREDICTORS[predictor]), jnp.int32)
    np.testing.assert_array_equal(accumulate_dc(differences, jnp.int32(predictor), transforms), first)


@pytest.mark.parametrize("expected", DC_PREDICTORS)
@pytest.mark.parametrize("length", [0, 1])
def test_differences_are_taken_along_axes_on_which_dc_is_constant(
    expected: tuple[int, ...], length: int
) -> None:
    transforms = transforms_of(PADDED, [length] * 3)
    n_steps = np.indices(GRID)[[axis for axis in range(3) if axis not in expected]].sum(axis=0)
    n_steps >>= length
    first = np.where(n_steps % 2, -500, 500).astype(np.int32)  # differences along these axes are larger
    _, predictor = predict_dc(jnp.asarray(first), transforms)
    assert DC_PREDICTORS[int(predictor)] == expected


def test_the_predictor_is_the_one_of_the_fewest_bits() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        dc = np.cumsum(rng.integers(-9, 10, GRID), axis=rng.integers(3)).astype(np.int32)
        bits = [np.log2(1.0 + np.abs(differences_along(dc, axes))).sum() for axes in DC_PREDICTORS]
        _, predictor = predict_dc(jnp.asarray(dc), SHORT)
        assert bits[int(predictor)] <= min(bits) + 1e-3


def test_differences_are_never_larger_than_what_can_be_coded() -> None:
    first = np.full(GRID, MAX_MAGNITUDE, np.int32)
    first[0, 0, 1] = -MAX_MAGNITUDE  # all other differences are 0
    differences, predictor = predict_dc(jnp.asarray(first), SHORT)
    assert np.abs(differences).max() <= MAX_MAGNITUDE
    np.testing.assert_array_equal(accumulate_dc(differences, predictor, SHORT), first)
