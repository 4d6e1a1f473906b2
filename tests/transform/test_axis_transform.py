import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segment_reference import expected_segments

from nvc_jax.transform import axis_transform, boundary_emphasis, segments
from nvc_jax.transform.axis_transform import AxisTransform
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.boundary_emphasis import emphasis_matrix
from nvc_jax.transform.dct import dct_matrix
from nvc_jax.transform.lapped_filter import FILTERS, border_matrix, filter_rotation
from nvc_jax.transform.segments import SEGMENT_LENGTHS

SIDES = (8, 64, 200)

make_axis_transform = jax.jit(axis_transform.make_axis_transform, static_argnums=(0, 5))
apply_borders = jax.jit(axis_transform.apply_borders)
divide_axis = jax.jit(segments.divide_axis, static_argnums=0)
boundaries_to_emphasize = jax.jit(boundary_emphasis.boundaries_to_emphasize, static_argnums=0)
squared_error_weights = jax.jit(boundary_emphasis.squared_error_weights, static_argnums=(0, 2))


def keep(side: int, valid: int, ends: int) -> int:
    """The boundaries along z, of two bits, that are emphasised on an axis of ``side`` voxels."""
    shape, valid_shape = (side, 8, 8), jnp.array([valid, 8, 8], jnp.int32)
    return int(boundaries_to_emphasize(shape, valid_shape, jnp.int32(ends)))


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    """Padded side, valid voxels, index of the length and of the filter, and boundaries along z."""
    side = draw(st.sampled_from(SIDES))
    valid = draw(st.one_of(st.just(side), st.integers(1, side)))
    length, name = (draw(st.integers(0, len(known) - 1)) for known in (SEGMENT_LENGTHS, FILTERS))
    return side, valid, length, name, keep(side, valid, draw(st.integers(0, 0b11)))


def transform_of(side: int, *numbers: int) -> AxisTransform:
    return jax.device_get(make_axis_transform(side, *(jnp.int32(number) for number in numbers), 0))


def reference_analysis(side: int, valid: int, length: int, name: int, ends: int) -> np.ndarray:
    """From valid voxels to coefficients in the order of segments and frequencies, float64, without norms."""
    emphasizing, filtering, dct = np.eye(valid), np.eye(valid), np.zeros((valid, valid))
    if ends & 1:
        emphasizing[:4, :4] = emphasis_matrix()
    if ends & 2:
        at_end = np.eye(valid)
        at_end[-4:, -4:] = emphasis_matrix()[::-1, ::-1]
        emphasizing = at_end @ emphasizing
    for start, n in expected_segments(valid, SEGMENT_LENGTHS[length]):
        dct[start : start + n, start : start + n] = dct_matrix(n)
        if start:
            around = slice(start - 4, start + 4)
            filtering[around, around] = border_matrix(filter_rotation(FILTERS[name]))
    return dct @ filtering @ emphasizing


def order_of_coefficients(side: int, valid: int, length: int) -> np.ndarray:
    """Row in ``reference_analysis`` of each coefficient."""
    divided = jax.device_get(divide_axis(side, jnp.int32(valid), jnp.int32(length)))
    return (divided.coefficient_start + divided.frequency)[:valid]


@given(axes())
def test_an_axis_is_that_of_a_plain_reference(axis: tuple[int, int, int, int, int]) -> None:
    side, valid, length, _, ends = axis
    transform = transform_of(*axis)
    analysis = reference_analysis(*axis)
    synthesis = np.linalg.inv(analysis)
    is_mean = np.isin(
        np.arange(valid), [start for start, _ in expected_segments(valid, SEGMENT_LENGTHS[length])]
    )
    weights = np.asarray(squared_error_weights(side, jnp.int32(ends), 0))[:valid]
    norms = np.sqrt(np.where(is_mean, (synthesis**2).sum(axis=0), weights @ synthesis**2))

    order = order_of_coefficients(side, valid, length)
    expected = np.zeros((side, side))
    expected[:valid, :valid] = (analysis * norms[:, None])[order]
    np.testing.assert_allclose(transform.analysis, expected, atol=5e-6)
    expected[:valid, :valid] = (synthesis / norms)[:, order]
    np.testing.assert_allclose(transform.synthesis[:valid], expected[:valid], atol=5e-6)


@given(axes())
def test_the_matrices_are_the_products_of_their_factors(axis: tuple[int, int, int, int, int]) -> None:
    transform = transform_of(*axis)
    unit = np.eye(axis[0], dtype=np.float32)
    borders, dct = transform.analysis_factors
    product = np.asarray(dct) @ np.asarray(apply_borders(borders, unit))
    np.testing.assert_allclose(product, transform.analysis, atol=1e-5)
    borders, inverse_dct = transform.synthesis_factors
    np.testing.assert_allclose(apply_borders(borders, inverse_dct), transform.synthesis, atol=1e-5)


@given(axes())
def test_synthesis_undoes_analysis_of_the_voxels_that_count(axis: tuple[int, int, int, int, int]) -> None:
    side, valid, *_ = axis
    transform = transform_of(*axis)
    product = np.asarray(transform.synthesis, np.float64) @ np.asarray(transform.analysis, np.float64)
    np.testing.assert_allclose(product[:valid], np.eye(side)[:valid], atol=1e-5)
    # Padding takes no coefficient, and gives none.
    assert not np.asarray(transform.analysis)[:, valid:].any()
    assert not np.asarray(transform.analysis)[valid:].any()
    assert not np.asarray(transform.synthesis)[:, valid:].any()


@given(axes())
def test_an_error_of_1_in_a_coefficient_adds_1_to_the_weighted_squared_error(
    axis: tuple[int, int, int, int, int],
) -> None:
    side, valid, length, _, ends = axis
    synthesis = np.asarray(transform_of(*axis).synthesis, np.float64)[:, :valid]
    frequency = np.asarray(divide_axis(side, jnp.int32(valid), jnp.int32(length)).frequency)[:valid]
    weights = np.asarray(squared_error_weights(side, jnp.int32(ends), 0))
    added = np.where(frequency == 0, (synthesis**2).sum(axis=0), weights @ synthesis**2)
    np.testing.assert_allclose(added, 1, rtol=1e-4)


@pytest.mark.parametrize("length", range(len(SEGMENT_LENGTHS)))
@pytest.mark.parametrize("name", ["none", "orthonormal"])
def test_orthonormal_filters_give_an_orthogonal_matrix(length: int, name: str) -> None:
    for side, valid in ((64, 64), (200, 171), (8, 3)):
        analysis = np.asarray(transform_of(side, valid, length, FILTERS.index(name), 0).analysis)[
            :valid, :valid
        ]
        np.testing.assert_allclose(analysis @ analysis.T, np.eye(valid), atol=1e-5)


@given(axes())
def test_dc_is_the_frequency_0_of_each_segment(axis: tuple[int, int, int, int, int]) -> None:
    side, valid, length, *_ = axis
    transform = transform_of(*axis)
    starts = [start // BLOCK_SIZE for start, _ in expected_segments(valid, SEGMENT_LENGTHS[length])]
    np.testing.assert_array_equal(np.flatnonzero(transform.is_dc), starts)
    before = [max((start for start in starts if start < block), default=-1) for block in range(side // 8)]
    np.testing.assert_array_equal(transform.previous_dc, before)


@pytest.mark.parametrize("length", range(len(SEGMENT_LENGTHS)))
def test_errors_are_smaller_at_emphasized_boundaries(length: int) -> None:
    """Errors of uniform quantisation, by the distance from the boundary."""
    rng = np.random.default_rng(0)
    errors = []
    for ends in (0b00, 0b11):
        synthesis = np.asarray(transform_of(128, 128, length, FILTERS.index("half"), ends).synthesis)
        errors.append(np.abs(synthesis @ rng.uniform(-0.5, 0.5, (128, 4000))).mean(axis=1))
    plain, emphasized = errors
    for voxel in (0, -1):
        assert emphasized[voxel] < 0.8 * plain[voxel]
    assert emphasized[16:112].mean() < 1.01 * plain[16:112].mean()


def test_a_scaled_transform_has_scaled_coefficients_and_the_same_synthesis() -> None:
    transform = transform_of(24, 20, 1, 2, 0)
    scaled = transform.scaled(jnp.float32(4))
    np.testing.assert_allclose(scaled.analysis, 4 * transform.analysis, rtol=1e-6)
    np.testing.assert_array_equal(scaled.synthesis, transform.synthesis)
    assert transform.side == 24
