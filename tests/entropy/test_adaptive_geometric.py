import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy import adaptive_geometric, frequency_tables, geometric_adaptation, tokens
from nvc_jax.entropy.geometric_distributions import MEANS, N_SCALES, geometric_frequencies
from nvc_jax.entropy.interleaving import max_lanes_for

encode = jax.jit(adaptive_geometric.encode)
decode = jax.jit(adaptive_geometric.decode, static_argnums=2)
choose_scales = jax.jit(geometric_adaptation.choose_scales)
tables_from = jax.jit(geometric_adaptation.tables_from)
start_and_thresholds = jax.jit(geometric_adaptation.start_and_thresholds)
to_token = jax.jit(tokens.to_token)
start_and_thresholds = jax.jit(geometric_adaptation.start_and_thresholds)
encode_reference = jax.jit(adaptive_geometric.encode_reference)
choose_common_scale = jax.jit(geometric_adaptation.choose_common_scale)


def round_trip(values: np.ndarray, scales: np.ndarray) -> tuple[int, int]:
    """Encode and decode; returns the words used and the lanes."""
    given_scales = scales.astype(np.int32)
    stream = encode(values.astype(np.int32), given_scales)
    used = int(stream.group_words.sum())
    assert stream.words.shape == (adaptive_geometric.capacity(values.shape[1], values.shape[0]),)
    assert used <= len(stream.words)
    np.testing.assert_array_equal(decode(stream, given_scales, values.shape[1]), values)
    return used, int(stream.n_lanes)


def ideal_bits(values: np.ndarray, scales: np.ndarray) -> float:
    """Bits that the tables by which integers are coded allow."""
    given_values = values.astype(np.int32)
    given_scales = scales.astype(np.int32)
    rows = np.asarray(tables_from(given_values, given_scales, *start_and_thresholds(given_scales)))
    token, _, extra = (np.asarray(x) for x in to_token(given_values))
    frequencies = geometric_frequencies().astype(float)
    lacking = frequencies[rows, token] == 0
    token, extra = np.where(lacking, tokens.ESCAPE, token), np.where(lacking, 24, extra)
    frequency = frequencies[rows, token]
    return float(np.sum(frequency_tables.PRECISION - np.log2(frequency) + extra))


def two_sided(rng: np.random.Generator, means: np.ndarray, n: int) -> np.ndarray:
    """Two-sided geometric integers (dims, n) of given mean magnitudes (dims, n or 1)."""
    p = 1 - (np.sqrt(1 + means**2) - 1) / means
    p = np.broadcast_to(p, (means.shape[0], n))
    return rng.geometric(p) - rng.geometric(p)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 40, 5000, tokens.MAX_MAGNITUDE]))
def test_any_integers_round_trip(seed: int, scale: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(-scale, scale + 1, (5, 50))
    values[rng.random((5, 50)) < 0.3] = 0
    round_trip(values, rng.integers(0, N_SCALES, 5))


@pytest.mark.parametrize(("n_dims", "n"), [(1, 1), (3, 15), (3, 33), (1, 1000), (200, 40)])
def test_any_sizes_round_trip(n_dims: int, n: int) -> None:
    means = np.random.default_rng(0).uniform(0.1, 30, (n_dims, 1))
    values = two_sided(np.random.default_rng(1), means, n)
    scales = np.asarray(choose_scales(values.astype(np.int32)))
    _, n_lanes = round_trip(values, scales)
    assert 1 <= n_lanes <= max_lanes_for(n)


@pytest.mark.parametrize(("n", "n_lanes"), [(64, 32), (130, 64), (200, 96)])
def test_the_worst_case_fits_the_buffer(n: int, n_lanes: int) -> None:
    """Lanes do not divide 130 and 200 blocks evenly: the first groups have more words than their share."""
    values, scales = np.full((16, n), tokens.MAX_MAGNITUDE, np.int32), np.zeros(16, np.int32)
    common = start_and_thresholds(scales)
    frequencies = adaptive_geometric.coded_frequencies()
    arguments = (values, scales, *common, frequencies, jnp.int32(n), jnp.int32(n_lanes))
    stream = encode_reference(*arguments)
    assert int(stream.group_words.sum()) > 2 * values.size
    assert max_lanes_for(n) == n_lanes
    np.testing.assert_array_equal(decode(stream, scales, n), values)


@pytest.mark.parametrize("mean", [0.05, 0.3, 2.0, 20.0, 700.0])
def test_sizes_are_near_the_ideal(mean: float) -> None:
    rng = np.random.default_rng(0)
    n = 4096
    means = mean * rng.uniform(0.5, 2, (32, 1))
    values = two_sided(rng, means, n)
    scales = np.asarray(choose_scales(values.astype(np.int32)))
    used, _ = round_trip(values, scales)
    ideal = ideal_bits(values, scales)
    assert ideal <= 16 * used <= 1.02 * ideal
    # Following a block's level costs little where all blocks are alike.
    theta = (np.sqrt(1 + means**2) - 1) / means
    source_bits = -np.log2((1 - theta) / (1 + theta)) - np.log2(theta) * means
    assert 16 * used < 1.08 * source_bits.sum() * n


def test_blocks_of_low_energy_cost_little() -> None:
    rng = np.random.default_rng(0)
    high = two_sided(rng, np.full((32, 1), 6.0), 1024)
    mixed = high * (rng.random(1024) < 0.25)[None]
    scales = np.asarray(choose_scales(mixed.astype(np.int32)))
    used, _ = round_trip(mixed, scales)
    used_high, _ = round_trip(high, np.asarray(choose_scales(high.astype(np.int32))))
    assert used < 0.4 * used_high


def test_expected_magnitudes_and_thresholds_never_change() -> None:
    """Other ones would make streams undecodable."""
    assert zlib.crc32(geometric_adaptation.EXPECTED_UNITS.astype("<u4").tobytes()) == 2861763504
    assert zlib.crc32(geometric_adaptation.SHIFT_RATIOS.astype("<u4").tobytes()) == 2784662023


def test_the_scale_of_a_dimension_is_that_of_its_mean_magnitude() -> None:
    values = np.zeros((N_SCALES, 1024))
    for row, mean in zip(values, MEANS, strict=True):
        row[: int(min(mean, 1) * 1024)] = round(max(mean, 1))
    scales = choose_scales(values.astype(np.int32))
    # Integers do not have every mean.
    assert np.abs(scales - np.arange(N_SCALES)).max() <= 1


@pytest.mark.parametrize(("n_high", "is_lower"), [(1024, False), (100, True)])
def test_the_common_scale_is_lower_where_few_blocks_hold_the_energy(n_high: int, is_lower: bool) -> None:
    blocks = two_sided(np.random.default_rng(0), np.full((32, 1), 200.0), 1024)
    values = (blocks * (np.arange(1024) < n_high)).astype(np.int32)
    usual = np.asarray(choose_scales(values.reshape(1, -1)))[0]
    common = choose_common_scale(values, np.int32(1024))
    assert (int(common) < int(usual)) == is_lower
    streams = [encode(values, np.full(32, scale)) for scale in (common, usual)]
    used, used_usual = (int(stream.group_words.sum()) for stream in streams)
    assert (used < 0.8 * used_usual) == is_lower


def test_only_the_first_blocks_are_coded() -> None:
    values = two_sided(np.random.default_rng(0), np.full((4, 1), 3.0), 60)
    scales = jnp.full(4, 15, jnp.int32)
    stream = encode(jnp.asarray(values, jnp.int32), scales, jnp.int32(37))
    decoded = np.asarray(decode(stream, scales, 60, jnp.int32(37)))
    np.testing.assert_array_equal(decoded, np.where(np.arange(60) < 37, values, 0))
