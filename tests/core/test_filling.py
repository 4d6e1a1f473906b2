import numpy as np
import pytest
from example_chunks import ocean
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.core.aligned_arrays import is_aligned
from nvc_jax.core.filling import fill_blocks, fill_smoothly, fill_with_last, pad_with_ends
from nvc_jax.core.valid_values import valid_mask

SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=7)


def test_gaps_are_filled_within_the_range_of_the_rest() -> None:
    volume = ocean()
    valid = valid_mask(volume, [float(np.float32(-1e10))])
    filled = fill_smoothly(np.where(valid, volume, 0), valid)
    np.testing.assert_array_equal(filled[valid], volume[valid])
    assert volume[valid].min() <= filled.min()
    assert filled.max() <= volume[valid].max()
    last = fill_with_last(volume, valid)
    np.testing.assert_array_equal(last[valid], volume[valid])
    assert np.isin(last, volume[valid]).all()


@given(st.data(), SHAPES)
def test_valid_values_are_kept_and_gaps_of_any_form_filled(
    data: st.DataObject, shape: tuple[int, ...]
) -> None:
    values = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(-1e6, 1e6)))
    valid = data.draw(hnp.arrays(bool, shape))
    for filled in (fill_smoothly(values, valid), fill_with_last(values, valid)):
        assert filled.shape == values.shape
        np.testing.assert_array_equal(filled[valid], values[valid])
        if valid.any():
            slack = 1e-6  # averages are rounded
            assert values[valid].min() - slack <= filled.min() <= filled.max() <= values[valid].max() + slack


def test_volumes_without_valid_values_are_filled_too() -> None:
    nothing = np.zeros((3, 3, 3), bool)
    assert not fill_smoothly(np.ones((3, 3, 3), np.float32), nothing).any()


def test_the_last_valid_value_is_repeated_and_the_first_one_before_any() -> None:
    values = np.arange(8).reshape(2, 2, 2)
    valid = np.isin(values, [2, 5])
    assert fill_with_last(values, valid).ravel().tolist() == [2, 2, 2, 2, 2, 5, 5, 5]
    assert fill_with_last(values, np.ones_like(valid)) is values


def test_blocks_are_filled_with_their_means() -> None:
    volume = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
    valid = np.ones(volume.shape, bool)
    valid[0, 0, :3] = False
    valid[4:, 4:, 4:] = False
    filled = fill_blocks(volume, valid, 4, -1.0)
    np.testing.assert_array_equal(filled[valid], volume[valid])
    assert filled[0, 0, 0] == pytest.approx(volume[:4, :4, :4][valid[:4, :4, :4]].mean())
    assert (filled[4:, 4:, 4:] == -1).all()
    assert fill_blocks(volume, np.ones_like(valid), 4, 0.0) is volume


@given(
    hnp.arrays(np.float32, SHAPES, elements=st.floats(-9, 9, width=32)), st.tuples(*[st.integers(0, 5)] * 3)
)
def test_arrays_are_extended_by_the_values_at_their_ends(
    values: np.ndarray, added: tuple[int, int, int]
) -> None:
    shape = tuple(side + n for side, n in zip(values.shape, added, strict=True))
    padded = pad_with_ends(values, shape)
    np.testing.assert_array_equal(padded, np.pad(values, [(0, n) for n in added], mode="edge"))
    assert is_aligned(padded)
