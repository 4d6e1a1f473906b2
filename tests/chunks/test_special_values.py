import numpy as np
import pytest
from example_chunks import ocean
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.chunks.special_values import (
    bit_patterns,
    encode_special_values,
    restore_special_values,
    valid_range,
)
from nvc_jax.core.dtypes import CODED_DTYPES
from nvc_jax.core.valid_values import all_finite, valid_mask

PADDED = (16, 16, 16)
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)


@given(st.data(), st.sampled_from(CODED_DTYPES), SHAPES)
def test_every_bit_pattern_comes_back(data: st.DataObject, dtype: str, shape: tuple[int, ...]) -> None:
    size = np.dtype(dtype).itemsize
    bits = data.draw(hnp.arrays(f"u{size}", shape, elements=st.integers(0, 2 ** (8 * size) - 1)))
    valid = data.draw(hnp.arrays(bool, shape))
    values = bits.view(dtype)
    stored = encode_special_values(values, valid, PADDED)
    assert (stored == b"") == valid.all()
    restored = np.zeros_like(values)
    labels, n_exact = restore_special_values(restored, stored, PADDED)
    assert n_exact == 0
    np.testing.assert_array_equal(labels == 0, valid)
    np.testing.assert_array_equal(bit_patterns(restored)[~valid], bits[~valid])
    assert not bit_patterns(restored)[valid].any()


def test_more_patterns_than_the_table_holds_come_back() -> None:
    values = np.arange(16**3, dtype=np.float32).reshape(16, 16, 16)
    valid = values % 2 == 0
    restored = np.zeros_like(values)
    restore_special_values(restored, encode_special_values(values, valid, PADDED), PADDED)
    np.testing.assert_array_equal(restored, np.where(valid, 0, values))


def test_values_that_are_finite_and_not_missing_are_valid() -> None:
    values = np.array([[[1.0, np.nan, np.inf, -9.0, 3.0, -np.inf]]])
    assert valid_mask(values, [-9.0]).ravel().tolist() == [True, False, False, False, True, False]
    assert valid_mask(values.astype(np.float32)[..., 3:5]).all()
    assert valid_range(values, valid_mask(values, [-9.0])) == (1.0, 3.0)
    assert not all_finite(values)
    assert all_finite(values[..., :1])


def test_the_range_of_no_valid_values_is_zero() -> None:
    assert valid_range(np.ones((3, 3, 3)), np.zeros((3, 3, 3), bool)) == (0.0, 0.0)


@pytest.mark.parametrize("cut", [1, 10, 20])
def test_damaged_special_values_are_errors(cut: int) -> None:
    volume = ocean()
    stored = encode_special_values(volume, volume > -1, volume.shape)
    with pytest.raises(ValueError, match=r"special|label|cut short"):
        restore_special_values(np.zeros_like(volume), stored[:-cut], volume.shape)
    with pytest.raises(ValueError, match=r"labels|zstd"):
        restore_special_values(np.zeros((12, 20, 31), np.float32), stored, volume.shape)


@given(st.data(), st.sampled_from(CODED_DTYPES), SHAPES)
def test_exact_values_come_back_and_remain_valid(
    data: st.DataObject, dtype: str, shape: tuple[int, ...]
) -> None:
    size = np.dtype(dtype).itemsize
    bits = data.draw(hnp.arrays(f"u{size}", shape, elements=st.integers(0, 5)))
    valid = data.draw(hnp.arrays(bool, shape))
    exact = np.array(data.draw(st.lists(st.integers(0, 7), unique=True, max_size=8)), f"u{size}")
    restored = np.full_like(bits, 99).view(dtype)
    labels, n_exact = restore_special_values(
        restored, encode_special_values(bits.view(dtype), valid, PADDED, exact), PADDED
    )
    assert n_exact in (0, exact.size)
    is_exact = valid & np.isin(bits, exact)
    np.testing.assert_array_equal((labels > 0) & (labels <= n_exact), is_exact)
    np.testing.assert_array_equal(labels == 0, valid & ~is_exact)
    np.testing.assert_array_equal(bit_patterns(restored), np.where(labels > 0, bits, 99))
