import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.chunks.decoded_range import DecodedRange
from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.preview import block_means, show_special_blocks
from nvc_jax.chunks.special_values import bit_patterns, encode_special_values
from nvc_jax.core.dtypes import CODED_DTYPES, is_float

NO_RULES = DecodedRange(np.dtype(np.float32), None)


@given(
    st.sampled_from(CODED_DTYPES),
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=20),
    st.integers(0, 2**32 - 1),
)
def test_each_block_of_8_voxels_shows_its_mean(dtype: str, shape: tuple[int, int, int], seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 100, shape).astype(dtype)
    means = block_means(values)
    assert means.dtype == dtype
    assert means.shape == tuple(-(-side // 8) for side in shape)
    tolerance = 0.5 if not is_float(means.dtype) else 0.05
    for index in np.ndindex(means.shape):
        block = values[tuple(slice(8 * i, 8 * i + 8) for i in index)]
        assert float(means[index]) == pytest.approx(block.mean(dtype=np.float64), abs=tolerance)


def test_means_of_the_largest_values_are_finite() -> None:
    largest = np.finfo(np.float64).max
    values = np.full((8, 8, 24), largest)
    values[:, :, :8] = -largest
    values[:4, :, 8:16] = -largest
    means = block_means(values).reshape(-1).tolist()
    assert means == [-float(largest), pytest.approx(0, abs=1e-15 * largest), float(largest)]


def test_means_of_damaged_values_raise_no_warning() -> None:
    values = np.full((8, 8, 8), 0x7F800001, np.uint32).view(np.float32)  # signalling NaN
    assert block_means(values).shape == (1, 1, 1)
    values[:4], values[4:] = np.inf, -np.inf
    assert block_means(values).shape == (1, 1, 1)


def test_blocks_without_valid_values_show_their_first_value() -> None:
    values = np.ones((8, 16, 24), np.float32)
    valid = np.ones(values.shape, bool)
    values[:, :8, :8], valid[:, :8, :8] = np.nan, False
    values[:, :8, 8:16], valid[:, :8, 8:16] = -9, False
    values[0, 8, 0], valid[0, 8, 0] = -9, False
    stored = encode_special_values(values, valid, values.shape)
    payload = Payload(PayloadKind.PACKED, (8, 16, 24), 0.0, b"", stored)
    means = np.full((1, 2, 3), 5, np.float32)
    expected = [[[np.nan, -9, 5], [5, 5, 5]]]
    np.testing.assert_array_equal(
        show_special_blocks(means, payload, values.shape, NO_RULES), np.array(expected, np.float32)
    )
    assert show_special_blocks(means, payload._replace(special_values=b""), values.shape, NO_RULES) is means


def test_exact_values_count_in_the_means_of_blocks() -> None:
    values = np.full((8, 8, 24), 5, np.float32)
    valid = np.ones(values.shape, bool)
    values[:, :, :4] = 1
    values[:, :, 8:16] = 2
    values[:4, :, 16:], values[4:, :, 16:], valid[4:, :, 16:] = 1, np.nan, False
    exact = bit_patterns(np.array([1, 2], np.float32))
    stored = encode_special_values(values, valid, values.shape, exact)
    payload = Payload(PayloadKind.PACKED, (8, 8, 24), 0.0, b"", stored)
    means = show_special_blocks(np.full((1, 1, 3), 5, np.float32), payload, values.shape, NO_RULES)
    assert means.tolist() == [[[3, 2, 1]]]
