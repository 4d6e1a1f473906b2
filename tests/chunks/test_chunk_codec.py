from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from example_chunks import PADDED_SHAPE, exact_errors, in_dtype, smooth_values

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.experience import Comparison, Experience
from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.chunks.preview import block_means
from nvc_jax.chunks.special_values import bit_patterns, valid_range
from nvc_jax.chunks.transform_coder import ChunkToEncode, DearChunk, TransformCoder
from nvc_jax.core.chunk_interfaces import ChunkTarget, ValueRange
from nvc_jax.core.dtypes import CODED_DTYPES
from nvc_jax.core.shapes import Shape3
from nvc_jax.core.valid_values import valid_mask
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

PARAMS = nvc_jax.load_codec("nvc-1").params
CODER = SpectralTransformCoder(PARAMS, PADDED_SHAPE)


def make_codec(dtype: np.dtype | str, padded_shape: Shape3 = PADDED_SHAPE) -> ChunkCodec:
    coder = CODER if padded_shape == PADDED_SHAPE else SpectralTransformCoder(PARAMS, padded_shape)
    return ChunkCodec(coder, padded_shape, np.dtype(dtype))


def round_trip(
    values: np.ndarray,
    target: ChunkTarget,
    missing_values: tuple[float, ...] = (),
    coder: TransformCoder = CODER,
) -> Payload:
    """Encode and decode; the payload, whose bound and special values must have been kept."""
    value_range = ValueRange(*valid_range(values, valid_mask(values, missing_values)), missing_values)
    codec = ChunkCodec(coder, PADDED_SHAPE, values.dtype, value_range)
    stored = codec.encode(values, target)
    decoded = codec.decode(stored)
    assert decoded.dtype == values.dtype
    assert decoded.shape == values.shape
    valid = valid_mask(values, missing_values)
    np.testing.assert_array_equal(bit_patterns(decoded)[~valid], bit_patterns(values)[~valid])
    errors = exact_errors(decoded[valid], values[valid])
    payload = parse_payload(stored, PADDED_SHAPE)
    assert payload.max_error == errors.max(initial=0)
    if target.max_error is not None:
        assert payload.max_error <= target.max_error
    if target.max_error == 0:
        np.testing.assert_array_equal(bit_patterns(decoded), bit_patterns(values))
    assert len(stored) <= values.nbytes + 64 + len(payload.special_values)
    return payload


@pytest.mark.parametrize("dtype", CODED_DTYPES)
@pytest.mark.parametrize("relative", [1e-1, 1e-2, 1e-3, 1e-5, 0.0])
def test_every_dtype_keeps_its_bound(dtype: str, relative: float) -> None:
    values = in_dtype(smooth_values(), dtype)
    bound = relative * (float(values.max()) - float(values.min()))
    round_trip(values, ChunkTarget(bound, 1.4 * bound))


@pytest.mark.parametrize("dtype", CODED_DTYPES)
def test_a_step_is_kept_to_without_a_bound(dtype: str) -> None:
    values = in_dtype(smooth_values(), dtype)
    width = float(values.max()) - float(values.min())
    payload = round_trip(values, ChunkTarget(None, 0.02 * width))
    assert payload.max_error < 0.1 * width


@pytest.mark.parametrize("shape", [(1, 1, 1), (24, 1, 7), (5, 32, 39), (23, 31, 40)])
def test_parts_of_chunks_keep_their_bound(shape: Shape3) -> None:
    for bound in (0.05, 0.0):
        round_trip(smooth_values(shape).astype(np.float32), ChunkTarget(bound, bound))


Change = Callable[[np.ndarray], None]


def set_at(where: Any, value: float) -> Change:
    return lambda values: values.__setitem__(where, value)


ODD_VALUES: dict[str, Change] = {
    "nan": set_at(np.s_[3:9, ::2], np.nan),
    "infinities": set_at(np.s_[::5, 3], np.inf),
    "missing": set_at(np.s_[:, 7:, 10:30], -1e10),
    "all missing": set_at(np.s_[:], -1e10),
    "all nan": set_at(np.s_[:], np.nan),
    "huge": lambda values: values.__imul__(1e38 if values.dtype == np.float32 else 1e300),
    "tiny": lambda values: values.__imul__(1e-44 if values.dtype == np.float32 else 1e-320),
    "offset": lambda values: values.__iadd__(1e6),
    "spikes": set_at(np.s_[::7, ::5, ::6], 1e6),
    "zeros": lambda values: values.__imul__(-0.0),
    "constant": set_at(np.s_[:], 3.75),
}


@pytest.mark.parametrize("name", ODD_VALUES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("relative", [1e-2, 1e-4, 0.0, None])
def test_odd_values_keep_their_bound(name: str, dtype: str, relative: float | None) -> None:
    values = smooth_values().astype(dtype)
    ODD_VALUES[name](values)
    missing_value = float(np.array(-1e10, dtype))
    low, high = valid_range(values, valid_mask(values, (missing_value,)))
    if relative is None:
        round_trip(values, ChunkTarget(None, 0.01 * (high - low)), (missing_value,))
    else:
        bound = relative * (high - low)
        round_trip(values, ChunkTarget(bound, bound), (missing_value,))


def test_nan_payloads_and_signed_zeros_come_back_without_loss() -> None:
    values = smooth_values().astype(np.float32)
    bits = values.view(np.uint32)
    bits[0, 0, :5] = [0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000, 0x00000001]
    round_trip(values, ChunkTarget(0.0, 0.0))


def test_special_values_do_not_spoil_the_rate() -> None:
    plain = smooth_values().astype(np.float32)
    holed = plain.copy()
    holed[:, :, 20:] = -1e10
    target = ChunkTarget(1e-3, 1e-3)
    plain_bytes, holed_bytes = (len(round_trip(values, target, (-1e10,)).body) for values in (plain, holed))
    assert holed_bytes < plain_bytes


def test_each_kind_of_payload_is_chosen_where_it_is_the_smallest() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2**32, PADDED_SHAPE, dtype=np.uint32)
    payloads = {
        PayloadKind.SPECTRAL: round_trip(smooth_values().astype(np.float32), ChunkTarget(0.01, 0.014)),
        PayloadKind.UNIFORM: round_trip(smooth_values().astype(np.float64), ChunkTarget(1e-9, 1e-9)),
        PayloadKind.DIFFERENCES: round_trip(smooth_values().astype(np.float32), ChunkTarget(0.0, 0.0)),
        PayloadKind.LATTICE: round_trip(in_dtype(smooth_values(), "uint16"), ChunkTarget(0.0, 0.0)),
        PayloadKind.RANKS: round_trip(np.rint(900 * smooth_values()) / 7, ChunkTarget(0.0, 0.0)),
        PayloadKind.PACKED: round_trip(noise, ChunkTarget(0.0, 0.0)),
        PayloadKind.CONSTANT: round_trip(np.full(PADDED_SHAPE, 7, np.int8), ChunkTarget(None, 0.1)),
    }
    assert [payload.kind for payload in payloads.values()] == list(payloads)
    assert len(payloads[PayloadKind.CONSTANT].body) == 1


def test_repeated_parts_are_packed_however_few_bytes_a_lattice_takes() -> None:
    part = np.random.default_rng(0).integers(0, 300, (2, 32, 40)).astype(np.uint16)
    values = np.tile(part, (12, 1, 1))
    payload = round_trip(values, ChunkTarget(0.0, 0.0))
    assert payload.kind == PayloadKind.PACKED
    assert len(payload.body) < values.nbytes / 6


def test_few_levels_are_coded_as_labels() -> None:
    levels = np.floor(5 * smooth_values() ** 2) / 7
    levels[5, 6, 7] = np.nan
    for target in (ChunkTarget(0.0, None), ChunkTarget(0.01, 0.02), ChunkTarget(None, 0.001)):
        payload = round_trip(levels.astype(np.float32), target)
        assert payload.kind == PayloadKind.LEVELS
        assert payload.max_error == 0


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16"])
@pytest.mark.parametrize("target", [ChunkTarget(2.0, 3.0), ChunkTarget(None, 5.0)])
def test_frequent_values_come_back_exactly(dtype: str, target: ChunkTarget) -> None:
    z, y, x = np.indices(PADDED_SHAPE)
    values = 1000 + 1000 * smooth_values()
    values[y + z < 25], values[(x > 30) & (y > 7)] = 0, 5000
    payload = round_trip(values.astype(dtype), target)
    assert payload.special_values[1] == 2
    decoded = make_codec(dtype).decode(payload.to_bytes(PADDED_SHAPE))
    is_exact = (values == 0) | (values == 5000)
    np.testing.assert_array_equal(decoded[is_exact], values[is_exact].astype(dtype))
    assert payload.max_error > 0


def test_squared_errors_have_a_price_without_a_bound() -> None:
    """Noise below the step: errors save bytes that are worth more; below that of integers there are none."""
    values = np.random.default_rng(0).integers(0, 2, PADDED_SHAPE).astype(np.uint8)
    coarse, fine = (round_trip(values, ChunkTarget(None, step)) for step in (8.0, 0.25))
    assert coarse.max_error > 0
    assert fine.max_error == 0
    assert coarse.coded_bytes < fine.coded_bytes


def test_payloads_of_larger_chunks_and_other_models_are_refused() -> None:
    values = smooth_values()[:20].astype(np.float32)
    stored = make_codec("float32").encode(values, ChunkTarget(0.01, 0.01))
    with pytest.raises(ValueError, match="a whole chunk has"):
        make_codec("float32", (16, 32, 40)).decode(stored)
    latents = parse_payload(stored, PADDED_SHAPE)._replace(kind=PayloadKind.LATENTS).to_bytes(PADDED_SHAPE)
    with pytest.raises(ValueError, match="kind latents, which this model does not decode"):
        make_codec("float32").decode(latents)


class SpoiledCoder(SpectralTransformCoder):
    """A transform coder whose decoder gets something wrong."""

    def __init__(self, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__(PARAMS, PADDED_SHAPE)
        self.spoil = spoil

    def decode(self, stream: Any) -> np.ndarray:
        return self.spoil(super().decode(stream))


class CautiousCoder(SpectralTransformCoder):
    """A transform coder that finds every chunk dear at first, whatever the limit, and counts its calls."""

    def __init__(self, cost_per_voxel: float) -> None:
        super().__init__(PARAMS, PADDED_SHAPE)
        self.cost_per_voxel, self.n_calls = cost_per_voxel, 0

    def encode_below(self, chunk: ChunkToEncode) -> Any:
        self.n_calls += 1
        if chunk.limit < np.inf:
            return DearChunk(self.cost_per_voxel * chunk.values.size)
        return super().encode_below(chunk)


@pytest.mark.parametrize("target", [ChunkTarget(0.05, 0.1), ChunkTarget(None, 0.05)])
@pytest.mark.parametrize(("cost_per_voxel", "n_calls"), [(100.0, 1), (0.01, 2)])
def test_a_dear_transform_is_left_out_only_beside_a_lattice_that_is_far_cheaper(
    target: ChunkTarget, cost_per_voxel: float, n_calls: int
) -> None:
    coder = CautiousCoder(cost_per_voxel)
    payload = round_trip(smooth_values().astype(np.float32), target, coder=coder)
    assert coder.n_calls == n_calls
    assert payload.kind == (PayloadKind.LATTICE if n_calls == 1 else PayloadKind.SPECTRAL)


ADVERSARIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zeros": np.zeros_like,
    "negated": np.negative,
    "noise": lambda decoded: np.random.default_rng(0).normal(0, 1e3, decoded.shape).astype(np.float32),
    "nan": lambda decoded: np.full_like(decoded, np.nan),
    "infinite": lambda decoded: np.full_like(decoded, np.inf),
    "some nan": lambda decoded: np.where(np.arange(decoded.shape[2]) % 7 == 0, np.nan, decoded),
}


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("dtype", CODED_DTYPES)
@pytest.mark.parametrize("relative", [0.2, 1e-2, 1e-4])
def test_bounds_hold_whatever_the_transform_decodes(adversary: str, dtype: str, relative: float) -> None:
    values = in_dtype(smooth_values(), dtype)
    bound = relative * (float(values.max()) - float(values.min()))
    round_trip(values, ChunkTarget(bound, bound), coder=SpoiledCoder(ADVERSARIES[adversary]))


@pytest.mark.parametrize(("dtype", "scale"), [("float64", 1e-52), ("float32", 1e-43), ("float32", 1e-30)])
def test_chunks_flat_against_the_volume_are_near(dtype: str, scale: float) -> None:
    """The step, relative to such a chunk's range, is beyond float32."""
    values = (np.random.default_rng(0).uniform(1, 2, (16, 16, 24)) * scale).astype(dtype)
    codec = make_codec(dtype, (16, 16, 24))
    stored = codec.encode(values, ChunkTarget(None, 0.01))
    decoded = codec.decode(stored)
    assert np.isfinite(decoded).all()
    assert np.abs(decoded.astype(float) - values.astype(float)).max() <= 0.01
    assert parse_payload(stored, (16, 16, 24)).max_error <= 0.01


class BatchingCodec(ChunkCodec):
    """A codec that decodes in batches, as on an accelerator."""

    batch_size = 4


@pytest.mark.parametrize(
    "target",
    [
        *(ChunkTarget(None, 0.02), ChunkTarget(0.002, 0.002), ChunkTarget(0.0, None)),
        ChunkTarget(None, 1.4, 0.01),
    ],
    ids=["step", "bound", "lossless", "pointwise"],
)
def test_batches_decode_as_each_payload_alone(target: ChunkTarget) -> None:
    codec, batching = make_codec("float32"), BatchingCodec(CODER, PADDED_SHAPE, np.dtype("float32"))
    chunks = [smooth_values(seed=seed).astype(np.float32) for seed in range(11)]
    chunks[2][3:9, 4:7, :5] = np.nan
    chunks[3] = np.rint(9 * chunks[3])
    chunks[5] = np.full((3, 4, 5), 2, np.float32)
    chunks[10] = chunks[10][:5, :, :33]
    stored = [codec.encode(values, target) for values in chunks]
    alone = [codec.decode(payload) for payload in stored]
    for count in (1, 11):
        for decode_together in (codec.decode_together, batching.decode_together, batching.decode_many):
            together = decode_together(stored[:count])
            assert len(together) == count
            for values, expected in zip(together, alone, strict=False):
                np.testing.assert_allclose(values, expected, atol=1e-3)
    assert batching.decode_together([]) == batching.decode_many([]) == []
    with pytest.raises(ValueError, match="payload"):
        batching.decode_together([*stored[:3], b""])


def test_previews_are_near_the_means_of_blocks() -> None:
    values = smooth_values((21, 32, 38)).astype(np.float32)
    values[:8, 8:16, :8] = np.nan
    for target in (ChunkTarget(None, 0.02), ChunkTarget(0.0, None)):
        codec = make_codec("float32")
        preview = codec.decode_preview(codec.encode(values, target))
        assert preview.shape == (3, 4, 5)
        assert np.isnan(preview[0, 1, 0])
        errors = np.abs(preview - block_means(values))
        assert np.nanmean(errors) < 0.025
        assert np.nanmax(errors) < 0.1


@pytest.mark.parametrize(("ratio", "is_estimated"), [(9.0, False), (1.0, True)])
def test_a_lattice_is_not_estimated_where_by_experience_the_transform_suits(
    ratio: float, is_estimated: bool
) -> None:
    codec, target = make_codec("float32"), ChunkTarget(None, 0.02)
    prepared = codec.prepare(smooth_values().astype(np.float32))
    cost_of_value = 8 * len(codec.encode_prepared(prepared, target)) / prepared.chunk.n_valid
    prepared = codec.prepare(smooth_values().astype(np.float32))
    compared = [Comparison(False, 1.5 * cost_of_value, ratio)]
    stored = codec.encode_prepared(prepared, target, 0, Experience(compared=compared))
    assert parse_payload(stored, PADDED_SHAPE).kind == PayloadKind.SPECTRAL
    assert ("rough_cost" in vars(prepared.plain.prediction(target))) == is_estimated
