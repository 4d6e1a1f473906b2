import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.chunks import special_values
from nvc_jax.core.dtypes import DTYPES

SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)


@given(st.data(), st.sampled_from(DTYPES), SHAPES)
def test_every_bit_pattern_comes_back(data: st.DataObject, dtype: str, shape: tuple[int, ...]) -> None:
    size = np.dtype(dtype).itemsize
    bits = data.draw(hnp.arrays(f"u{size}", shape, elements=st.integers(0, 2 ** (8 * size) - 1)))
    valid = data.draw(hnp.arrays(bool, shape))
    values = bits.view(dtype)
    stored = special_values.encode_specials(values, valid)
    assert (stored == b"") == valid.all()
    restored = np.zeros_like(values)
    special_values.restore_specials(restored, stored)
    np.testing.assert_array_equal(special_values.as_bits(restored)[~valid], bits[~valid])
    assert not special_values.as_bits(restored)[valid].any()


def test_more_patterns_than_the_table_holds() -> None:
    values = np.arange(16**3, dtype=np.float32).reshape(16, 16, 16)
    valid = values % 2 == 0
    restored = np.zeros_like(values)
    special_values.restore_specials(restored, special_values.encode_specials(values, valid))
    np.testing.assert_array_equal(restored, np.where(valid, 0, values))


def ocean() -> np.ndarray:
    z, y, x = np.indices((12, 20, 30))
    return np.where(x > 14, np.sin(y / 5) + z, -1e10).astype(np.float32)


def test_holes_are_filled_within_the_range_of_the_rest() -> None:
    volume = ocean()
    valid = special_values.valid_mask(volume, [float(np.float32(-1e10))])
    filled = special_values.fill_smoothly(np.where(valid, volume, 0), valid)
    np.testing.assert_array_equal(filled[valid], volume[valid])
    assert volume[valid].min() <= filled.min()
    assert filled.max() <= volume[valid].max()
    last = special_values.fill_with_last(volume, valid)
    np.testing.assert_array_equal(last[valid], volume[valid])
    assert np.isin(last, volume[valid]).all()


def test_volumes_without_ordinary_values_are_filled_too() -> None:
    nothing = np.zeros((3, 3, 3), bool)
    assert not special_values.fill_smoothly(np.ones((3, 3, 3), np.float32), nothing).any()
    assert special_values.valid_range(np.ones((3, 3, 3)), nothing) == (0.0, 0.0)


@pytest.mark.parametrize("cut", [1, 10, 20])
def test_damaged_specials_are_errors(cut: int) -> None:
    volume = ocean()
    stored = special_values.encode_specials(volume, volume > -1)
    with pytest.raises(ValueError, match="special"):
        special_values.restore_specials(np.zeros_like(volume), stored[:-cut])
    with pytest.raises(ValueError, match=r"labels|zstd"):
        special_values.restore_specials(np.zeros((12, 20, 31), np.float32), stored)


def test_blocks_are_filled_with_their_means() -> None:
    volume = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
    valid = np.ones(volume.shape, bool)
    valid[0, 0, :3] = False
    valid[4:, 4:, 4:] = False
    filled = special_values.fill_blocks(volume, valid, 4, -1.0)
    np.testing.assert_array_equal(filled[valid], volume[valid])
    assert filled[0, 0, 0] == pytest.approx(volume[:4, :4, :4][valid[:4, :4, :4]].mean())
    assert (filled[4:, 4:, 4:] == -1).all()
    assert special_values.fill_blocks(volume, np.ones_like(valid), 4, 0.0) is volume
