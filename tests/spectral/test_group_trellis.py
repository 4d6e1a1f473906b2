from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import layout_for

import nvc_jax
from nvc_jax.spectral import block_ends, group_trellis, quantization, scan_order, trellis
from nvc_jax.spectral.class_decision import make_decision_costs
from nvc_jax.spectral.entropy_model import steps_of_single_quantizer
from nvc_jax.spectral.profiles import take_profile
from nvc_jax.spectral.stream_loops import scan_reference
from nvc_jax.spectral.trellis_costs import make_rates

MODEL = jax.jit(take_profile)(nvc_jax.load_codec("nvc-1").params["entropy"], jnp.int32(1))
LAYOUT = layout_for((16, 32, 40), (16, 27, 40))
by_kernel = jax.jit(partial(group_trellis.quantize, interpret=True))


@jax.jit
def by_reference(model: Any, costs: Any, scan: Any, layout: Any, values: Any, classes: Any) -> jax.Array:
    """Quantise from the last likely integer of each block, found with one quantiser, or a unit behind it."""
    single_steps = steps_of_single_quantizer(model)
    counts = block_ends.count_integers(costs, scan, layout, values, classes, single_steps)
    return trellis.quantize_reference(
        model, scan, make_rates(model), layout.partial_type, values, classes, counts
    )


@pytest.mark.parametrize("scale", [1.0, 5.0, 1e9])
def test_the_kernel_equals_the_reference(scale: float) -> None:
    rng = np.random.default_rng(0)
    n = len(LAYOUT.order)
    decay = np.exp(-np.arange(512) / rng.choice([3, 20, 60], (n, 1)))
    values = jnp.asarray(rng.standard_normal((n, 512)) * scale * decay, jnp.float32)
    values = values.at[3].set(0)
    classes = jnp.asarray(rng.integers(0, MODEL.tables.shape[0], n), jnp.int32)
    scan = jax.jit(scan_order.make_scan_order)(MODEL, LAYOUT)
    costs = jax.jit(make_decision_costs)(MODEL)
    joined = by_kernel(MODEL, costs, jax.jit(make_rates)(MODEL), scan, LAYOUT, values, classes)
    points = by_reference(MODEL, costs, scan, LAYOUT, values, classes)
    np.testing.assert_array_equal(jax.jit(quantization.points_of_scanned)(scan, LAYOUT, joined), points)
    assert np.any(points)

    packed, ends = quantization.split_scanned(joined)
    wanted, wanted_ends = jax.jit(scan_reference)(MODEL, LAYOUT, scan, points)
    np.testing.assert_array_equal(ends, wanted_ends)
    counts = scan_order.count_coded(scan, LAYOUT, ends)
    is_coded = np.arange(511) < np.asarray(counts)[:, None]
    wanted = np.asarray(wanted).reshape(n, -1)
    np.testing.assert_array_equal(
        np.asarray(packed)[: wanted.size].reshape(n, -1)[is_coded], wanted[is_coded]
    )
    assert 0 < is_coded.mean() < 1
