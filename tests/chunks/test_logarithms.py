import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.chunks.logarithms import (
    PRECISIONS,
    Precision,
    decode_logarithms,
    encode_logarithms,
    innermost,
    powers_of_two,
    to_values,
)
from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.value_bytes import pack_values, unpack_values
from nvc_jax.core.shapes import check_shape

SHAPE, PADDED_SHAPE = (4, 5, 6), (16, 16, 24)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_powers_of_two_are_near_and_never_fall(precision: Precision) -> None:
    bits = precision.fraction_bits
    starts = np.random.default_rng(0).integers(-1080 << bits, 1024 << bits, 200)
    borders = np.arange(-3, 4) << (bits - 8)  # where the first factor changes
    integers = np.unique(np.concatenate([starts, borders])[:, None] + np.arange(-200, 200))
    powers = powers_of_two(integers.astype(precision.dtype), bits)
    assert (np.diff(powers) >= 0).all()
    normal = powers > np.finfo(np.float64).tiny
    assert (np.diff(powers[normal]) > 0).all()
    exact = np.exp2(integers / (1 << bits))  # of which float64 holds the whole, but few bits behind it
    np.testing.assert_allclose(powers[normal], exact[normal], rtol=3e-13)
    fine = np.abs(integers) < 1 << bits
    np.testing.assert_allclose(powers[fine], exact[fine], rtol=2e-15)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_powers_beyond_the_ends_are_0_and_infinite(precision: Precision) -> None:
    limits = np.iinfo(precision.dtype)
    ends = np.array([limits.min, -1, 0, limits.max], precision.dtype)
    assert powers_of_two(ends, precision.fraction_bits).tolist()[::3] == [0, np.inf]
    for dtype in ("float16", "float32", "float64"):
        values = to_values(ends, np.array([False, False, True, True]), 20, np.dtype(dtype))
        assert values[2:].tolist() == [-1, -float(np.finfo(dtype).max)]


@given(st.sampled_from(PRECISIONS), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 2**32))
def test_signs_come_back(precision: Precision, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(SHAPE) < share, -1.5, 2.5)
    valid = rng.random(SHAPE) < 0.8
    integers = np.rint(np.log2(np.abs(values)) * (1 << precision.fraction_bits)).astype(precision.dtype)
    payload = Payload(PayloadKind.PACKED, SHAPE, 3.0, pack_values(integers))
    body = encode_logarithms(payload, values, valid, precision, PADDED_SHAPE)
    if share in (0, 1):
        assert len(body) == len(payload.body) + 2

    def decode_integers(payload: Payload, dtype: np.dtype) -> np.ndarray:
        assert payload.max_error == 0
        return unpack_values(payload.body, check_shape(payload.valid_shape), dtype)

    decoded = decode_logarithms(body, SHAPE, PADDED_SHAPE, values.dtype, decode_integers)
    np.testing.assert_allclose(decoded[valid], values[valid], rtol=1e-6)
    whole = Payload(PayloadKind.LOGARITHMS, SHAPE, 0.0, body)
    assert innermost(whole) == payload._replace(max_error=0.0)
    assert innermost(payload) == payload
