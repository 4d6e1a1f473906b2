import numpy as np
import pytest
from example_chunks import PADDED_SHAPE, smooth_values

from nvc_jax.chunks.bodies import encode_differences, encode_packed
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.rank_body import (
    decode_ranks,
    encode_ranks,
    rank_by_kernel,
    rank_in_slots,
    rank_values,
    typical_gap,
)
from nvc_jax.chunks.uniform_quantization import to_ordered
from nvc_jax.core.header_fields import encode_varints
from nvc_jax.lattice.plan import plan_stream
from nvc_jax.native.host_kernels import has_host_kernels

SHAPE = (17, 18, 35)


def encode(chunk: ChunkValues, least_gap: float = 0.0) -> bytes | None:
    """Encode a chunk whose values are far enough apart."""
    ranked = rank_values(chunk, PADDED_SHAPE, least_gap)
    return None if ranked is None else encode_ranks(ranked)


def counts_as_floats(dtype: str) -> np.ndarray:
    """Make floats of about 300 different values, of both signs, with both zeros."""
    values = (np.rint(300 * smooth_values(SHAPE)) - 100) * 0.37
    values[values == 0] = np.where(np.arange((values == 0).sum()) % 2, 0.0, -0.0)
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_come_back_bit_for_bit(dtype: str) -> None:
    values = counts_as_floats(dtype)
    body = encode(ChunkValues.examine(values, ()))
    assert body is not None
    decoded = decode_ranks(body, SHAPE, PADDED_SHAPE, values.dtype)
    assert decoded.dtype == values.dtype
    assert decoded.tobytes() == values.tobytes()


def test_values_near_the_ends_of_float64_come_back() -> None:
    values = counts_as_floats("float64") * 1e306
    body = encode(ChunkValues.examine(values, ()))
    assert body is not None
    assert decode_ranks(body, SHAPE, PADDED_SHAPE, values.dtype).tobytes() == values.tobytes()


def test_gaps_take_no_place_in_the_table() -> None:
    values = counts_as_floats("float32")
    values[3:9, 2:7] = np.nan
    chunk = ChunkValues.examine(values, ())
    body = encode(chunk)
    assert body is not None
    decoded = decode_ranks(body, SHAPE, PADDED_SHAPE, values.dtype)
    np.testing.assert_array_equal(decoded[chunk.valid], values[chunk.valid])
    assert np.isfinite(decoded).all()


def test_floats_that_stem_from_integers_take_fewer_bytes() -> None:
    chunk = ChunkValues.examine(counts_as_floats("float32"), ())
    body = encode(chunk)
    assert body is not None
    assert len(body) < 0.8 * min(len(encode_packed(chunk)), len(encode_differences(chunk, PADDED_SHAPE)))


def test_floats_of_all_kinds_of_values_have_no_ranks() -> None:
    assert encode(ChunkValues.examine(smooth_values(SHAPE), ())) is None


def test_damaged_ranks_are_an_error() -> None:
    values = counts_as_floats("float32")
    body = encode(ChunkValues.examine(values, ()))
    assert body is not None
    for damaged, fault in (
        (b"", "cut short"),
        (encode_varints(0, 0) + body[3:], "lack their table"),
        (encode_varints(1 << 20, 0) + body[3:], "lack their table"),
        (body[:20], "lack their table"),
    ):
        with pytest.raises(ValueError, match=fault):
            decode_ranks(damaged, SHAPE, PADDED_SHAPE, values.dtype)


def test_a_column_of_equal_values_does_not_hide_the_others() -> None:
    values = np.random.default_rng(0).normal(size=(64, 64, 128))
    values[:, :, 0] = 0
    assert rank_values(ChunkValues.examine(values, ()), (64, 64, 128)) is None


def test_values_nearer_each_other_than_asked_have_no_ranks() -> None:
    chunk = ChunkValues.examine(counts_as_floats("float64"), ())
    ranked = rank_values(chunk, PADDED_SHAPE)
    assert ranked is not None
    assert typical_gap(ranked.table, chunk.values.dtype) == pytest.approx(0.37)
    assert encode(chunk, 0.36) == encode(chunk)
    assert encode(chunk, 0.38) is None


def test_the_sample_may_miss_most_of_the_values() -> None:
    """Neighbours of the sample are then further apart than neighbours of the chunk."""
    values = np.random.default_rng(0).integers(0, 20000, (64, 64, 64)).astype(np.float32)
    chunk = ChunkValues.examine(values, ())
    assert rank_values(chunk, (64, 64, 64), 1.0) is not None
    assert rank_values(chunk, (64, 64, 64), 1.1) is None


@pytest.mark.parametrize("spoiled", [None, 0.37 * 50.25, 1e9, -0.0])
def test_values_on_a_grid_or_not_are_ranked_alike(spoiled: float | None) -> None:
    values = (np.rint(300 * smooth_values(SHAPE)) * 0.37).astype(np.float32)
    if spoiled is not None:
        values[9, 9, 9] = spoiled
    ranked = rank_values(ChunkValues.examine(values, ()), PADDED_SHAPE)
    assert ranked is not None
    table, ranks = np.unique(to_ordered(values), return_inverse=True)
    np.testing.assert_array_equal(ranked.table, table)
    lattice = np.asarray(ranked.volume.lattice.values)[tuple(slice(0, side) for side in SHAPE)]
    np.testing.assert_array_equal(lattice, ranks.reshape(SHAPE))


def test_estimates_are_of_the_right_order() -> None:
    chunk = ChunkValues.examine(counts_as_floats("float32"), ())
    ranked = rank_values(chunk, PADDED_SHAPE)
    assert ranked is not None
    estimate = ranked.estimate(plan_stream(ranked.volume).counts)
    assert estimate.squared_error == 0
    assert 0.7 < 8 * len(encode_ranks(ranked)) / estimate.bits < 1.5


@pytest.mark.skipif(not has_host_kernels(), reason="this installation has no kernels")
@pytest.mark.parametrize(("n_slots", "spacing"), [(1, 1.0), (2, 0.37), (300, 0.37), (5000, 1e-3)])
def test_the_kernel_ranks_as_numpy_does(n_slots: int, spacing: float) -> None:
    slots = np.random.default_rng(n_slots).integers(0, n_slots, SHAPE)
    values = (slots * spacing - 20).astype(np.float32)
    expected, ranked = (rank(values, -20.0, spacing, n_slots) for rank in (rank_in_slots, rank_by_kernel))
    assert expected is not None
    assert ranked is not None
    for of_reference, of_kernel in zip(expected, ranked, strict=True):
        np.testing.assert_array_equal(of_kernel, of_reference)
        assert of_kernel.dtype == of_reference.dtype


@pytest.mark.skipif(not has_host_kernels(), reason="this installation has no kernels")
@pytest.mark.parametrize("other", [np.float32(-0.0), np.nextafter(np.float32(2), np.float32(3))])
def test_values_that_share_a_slot_have_no_ranks(other: np.float32) -> None:
    values = np.array([0, 1, 2, 3, other], np.float32).reshape(1, 1, 5)
    assert rank_in_slots(values, 0.0, 1.0, 4) is None
    assert rank_by_kernel(values, 0.0, 1.0, 4) is None
