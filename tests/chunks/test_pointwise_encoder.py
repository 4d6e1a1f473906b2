from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from example_chunks import smooth_values
from hypothesis import given
from hypothesis import strategies as st

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.chunks.special_values import bit_patterns, valid_range
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.chunks.uniform_quantization import round_to_dtype
from nvc_jax.core.chunk_interfaces import NO_LIMITS, ChunkTarget, Limits, ValueRange
from nvc_jax.core.dtypes import CODED_DTYPES, is_float
from nvc_jax.core.shapes import Shape3
from nvc_jax.core.valid_values import valid_mask
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

PADDED_SHAPE, SHAPE = (16, 16, 24), (7, 9, 13)
PARAMS = nvc_jax.load_codec("nvc-1").params
CODER = SpectralTransformCoder(PARAMS, PADDED_SHAPE)


def round_trip(
    values: np.ndarray,
    error: float,
    missing_values: tuple[float, ...] = (),
    valid_limits: Limits = NO_LIMITS,
    value_limits: Limits = NO_LIMITS,
    exact_values: tuple[float, ...] = (),
    decoding_coder: TransformCoder = CODER,
) -> Payload:
    """Encode and decode; the payload, whose bound, zeros and special values must have been kept."""
    valid = valid_mask(values, missing_values, valid_limits)
    rules = ValueRange(*valid_range(values, valid), missing_values, valid_limits, value_limits, exact_values)
    stored = ChunkCodec(CODER, PADDED_SHAPE, values.dtype, rules).encode(
        values, ChunkTarget(None, 2.0, error)
    )
    decoded = ChunkCodec(decoding_coder, PADDED_SHAPE, values.dtype, rules).decode(stored)
    assert (decoded.dtype, decoded.shape) == (values.dtype, values.shape)

    is_exact = ~valid | np.isin(values, np.array((0.0, *exact_values), values.dtype))
    np.testing.assert_array_equal(bit_patterns(decoded)[is_exact], bit_patterns(values)[is_exact])
    assert valid_mask(decoded, missing_values, valid_limits)[valid].all()
    assert valid_mask(decoded, (), value_limits)[valid].all()
    bound = Fraction(error)
    pairs = set(zip(values[valid].tolist(), decoded[valid].tolist(), strict=True))
    assert all(abs(Fraction(x) - Fraction(y)) <= bound * abs(Fraction(x)) for x, y in pairs)
    assert all((x > 0) == (y > 0) for x, y in pairs)
    payload = parse_payload(stored, PADDED_SHAPE)
    if decoding_coder is CODER:
        largest = max((abs(Fraction(x) - Fraction(y)) for x, y in pairs), default=Fraction(0))
        assert payload.max_error == pytest.approx(float(largest), rel=1e-12)
    assert len(stored) <= values.nbytes + 64 + len(payload.special_values)
    return payload


def make_values(
    dtype: str,
    decades: float,
    negative: float,
    zeros: float,
    noise: float,
    *,
    seed: int,
    shape: Shape3 = SHAPE,
) -> np.ndarray:
    """Values of a dtype whose magnitudes span decades, up to the largest of the dtype or around 1.

    Args:
        dtype: of the values.
        decades: spanned by the magnitudes; of integers at most those that there are.
        negative, zeros: shares of the voxels.
        noise: share of the magnitudes' logarithms that is noise.
        seed: of the noise.
        shape: (z, y, x).
    """
    kind, rng = np.dtype(dtype), np.random.default_rng(seed)
    unit = (1 - noise) * smooth_values(shape, seed) + noise * rng.random(shape)
    if is_float(kind):
        magnitudes = 10.0 ** (decades * (unit - 0.7))
    else:
        magnitudes = float(np.iinfo(kind).max) ** np.clip(1 - (1 - unit) * decades / 20, 0, 1)
    signed = np.where(smooth_values(shape, seed + 1) < negative, -magnitudes, magnitudes)
    return round_to_dtype(np.where(rng.random(shape) < zeros, np.copysign(0, signed), signed), kind)


ERRORS = st.one_of(st.sampled_from([0.5, 0.1, 0.01, 1e-3, 1e-4, 1e-6]), st.floats(1e-13, 0.999))


@given(
    st.sampled_from(CODED_DTYPES),
    ERRORS,
    st.sampled_from([0.01, 1.0, 8.0, 30.0, 300.0, 640.0]),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.sampled_from([0.0, 0.2, 0.95, 1.0]),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.integers(0, 1000),
)
def test_every_volume_keeps_its_bound(
    dtype: str, error: float, decades: float, negative: float, zeros: float, noise: float, seed: int
) -> None:
    values = make_values(dtype, decades, negative, zeros, noise, seed=seed)
    if is_float(values.dtype):
        limits = jnp.finfo(dtype)
        odd = [np.nan, -np.inf, limits.max, -limits.max, limits.tiny, limits.smallest_subnormal, -0.0, 0.0]
        values[3, 4, : len(odd)] = odd
    else:
        values[3, 4, :2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    round_trip(values, error)


@given(
    st.sampled_from(["float32", "float64", "int16", "uint8", "int64"]),
    st.sampled_from([0.3, 0.02, 1e-4]),
    st.sampled_from([0.0, 0.5]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
)
def test_the_rules_of_values_hold_too(
    dtype: str, error: float, zeros: float, has_missing: bool, has_limits: bool, seed: int
) -> None:
    values = make_values(dtype, 4.0, 0.3, zeros, 0.1, seed=seed)
    low, frequent, high = np.sort(values.ravel())[[20, 400, -20]].tolist()
    round_trip(
        values,
        error,
        missing_values=(frequent, 0.0) if has_missing else (),
        valid_limits=(low, high) if has_limits else NO_LIMITS,
        value_limits=(low, high) if has_limits else NO_LIMITS,
        exact_values=(values.ravel().tolist()[100],),
    )


def test_each_way_of_coding_is_taken() -> None:
    wave = make_values("float64", 6.0, 0.4, 0.0, 0.0, seed=0, shape=PADDED_SHAPE)
    kinds = {error: round_trip(wave, error).kind for error in (0.1, 1e-4, 1e-7, 1e-14)}
    assert kinds[0.1] == kinds[1e-4] == kinds[1e-7] == PayloadKind.LOGARITHMS
    assert kinds[1e-14] != PayloadKind.LOGARITHMS
    assert round_trip(np.full(SHAPE, 7.5), 0.1).kind == PayloadKind.CONSTANT
    assert round_trip(np.zeros(SHAPE), 0.1).kind == PayloadKind.CONSTANT


def test_signs_cost_nothing_where_all_are_the_same() -> None:
    values = make_values("float32", 6.0, 0.0, 0.0, 0.0, seed=0, shape=PADDED_SHAPE)
    assert len(round_trip(values, 0.01).body) == len(round_trip(-values, 0.01).body)


def test_integers_are_not_stored_exactly_for_the_sake_of_a_few() -> None:
    values = make_values("uint16", 6.0, 0.0, 0.0, 0.0, seed=0, shape=PADDED_SHAPE)
    exactly = ChunkCodec(CODER, PADDED_SHAPE, values.dtype).encode(values, ChunkTarget(0.0, None))
    assert len(round_trip(values, 0.1).body) < len(exactly) / 2


class ShiftedCoder(SpectralTransformCoder):
    """A transform coder of another device: its values are off by nearly the reserve."""

    def __init__(self, share: float) -> None:
        super().__init__(PARAMS, PADDED_SHAPE)
        self._share = share

    def decode(self, stream: Any) -> np.ndarray:
        decoded = super().decode(stream)
        signs = np.random.default_rng(0).choice([-1.0, 1.0], decoded.shape)
        return decoded + (self._share * self.decoding_reserve(0.0, 1.0, 0.0) * signs).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "float16"])
@pytest.mark.parametrize("error", [0.1, 0.01])
def test_the_bound_holds_on_other_devices(dtype: str, error: float) -> None:
    decades = 2.0 if dtype == "float16" else 6.0
    values = make_values(dtype, decades, 0.2, 0.01, 0.0, seed=3, shape=PADDED_SHAPE)
    payload = round_trip(values, error, decoding_coder=ShiftedCoder(0.95))
    assert payload.kind == PayloadKind.LOGARITHMS
