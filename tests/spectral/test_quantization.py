import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import layout_for

import nvc_jax
from nvc_jax.spectral import quantization, scan_order
from nvc_jax.spectral.decision_tables import make_tables
from nvc_jax.spectral.dependent_quantization import select_quantizers, to_points
from nvc_jax.spectral.encoder_options import EncoderOptions
from nvc_jax.spectral.profiles import take_profile
from nvc_jax.spectral.stream_loops import scan_reference

MODEL = jax.jit(take_profile)(nvc_jax.load_codec("nvc-1").params["entropy"], jnp.int32(0))
LAYOUT = layout_for((16, 24, 16), (13, 24, 16))
N_BLOCKS = len(LAYOUT.order)
SCAN = jax.jit(scan_order.make_scan_order)(MODEL, LAYOUT)


def random_points() -> jax.Array:
    """Points of integers that blocks have up to some positions of their scans."""
    rng = np.random.default_rng(0)
    integers = rng.integers(-3, 4, (N_BLOCKS, 511))
    counts = rng.choice([0, 1, 40, 511], N_BLOCKS)
    counts = np.minimum(counts, np.asarray(SCAN.counts)[np.asarray(LAYOUT.partial_type)])
    integers = jnp.asarray(np.where(np.arange(511) < counts[:, None], integers, 0), jnp.int32)
    ordered = to_points(integers, jax.jit(select_quantizers)(integers))
    everything = jnp.full(N_BLOCKS, 511, jnp.int32)
    points = jax.jit(scan_order.from_scan_order)(SCAN, LAYOUT, everything, ordered.reshape(-1))
    return jnp.where(LAYOUT.inside[:, None], points, 0)


def test_points_come_back_from_integers_in_scan_order() -> None:
    points = random_points()
    joined = quantization.join_scanned(*jax.jit(scan_reference)(MODEL, LAYOUT, SCAN, points))
    assert joined.shape == points.shape
    np.testing.assert_array_equal(jax.jit(quantization.points_of_scanned)(SCAN, LAYOUT, joined), points)
    assert np.any(points)


def test_what_is_joined_can_be_split() -> None:
    packed = jnp.arange(N_BLOCKS * 511, dtype=jnp.int32)
    ends = jnp.arange(N_BLOCKS, dtype=jnp.int32)
    first, second = quantization.split_scanned(quantization.join_scanned(packed, ends))
    np.testing.assert_array_equal(first[: len(packed)], packed)
    np.testing.assert_array_equal(second, ends)


def test_points_stay_as_they_are_on_cpus() -> None:
    points = random_points()
    quantized = jax.jit(quantization.from_points)(MODEL, SCAN, LAYOUT, points)
    np.testing.assert_array_equal(jax.jit(quantization.find_points)(SCAN, LAYOUT, quantized), points)


def test_two_quantisers_need_optimisation() -> None:
    tables = jax.jit(make_tables)(MODEL)
    values, classes = jnp.zeros((N_BLOCKS, 512)), jnp.zeros(N_BLOCKS, jnp.int32)
    options = EncoderOptions(optimizes_integers=False)
    with pytest.raises(ValueError, match="optimizes_integers"):
        quantization.quantize(MODEL, tables, SCAN, LAYOUT, values, classes, options)
