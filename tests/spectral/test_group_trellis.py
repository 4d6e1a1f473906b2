from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import layout_for, split_coefficients

import nvc_jax
from nvc_jax.spectral import block_ends, group_trellis, quantization, scan_order, trellis
from nvc_jax.spectral.class_decision import make_decision_costs
from nvc_jax.spectral.entropy_model import steps_of_single_quantizer
from nvc_jax.spectral.group_coefficients import FloatCoefficients
from nvc_jax.spectral.group_integers import SplitIntegers
from nvc_jax.spectral.profiles import take_profile
from nvc_jax.spectral.stream_loops import scan_reference
from nvc_jax.spectral.trellis_costs import make_rates
from nvc_jax.spectral.trellis_steps import TrellisBlocks, TrellisTables

MODEL = jax.jit(take_profile)(nvc_jax.load_codec("nvc-1").params["entropy"], jnp.int32(1))
LAYOUT = layout_for((16, 32, 40), (16, 27, 40))
by_kernel = jax.jit(partial(group_trellis.quantize, interpret=True))
by_reference = jax.jit(trellis.quantize_reference)


@jax.jit
def count_integers(model: Any, costs: Any, *others: Any) -> jax.Array:
    return block_ends.count_integers(costs, *others, steps_of_single_quantizer(model))


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("scale", [1.0, 5.0, 300.0, 1e9])
def test_the_kernel_equals_the_reference(scale: float, in_parts: bool) -> None:
    rng = np.random.default_rng(0)
    n = len(LAYOUT.order)
    decay = np.exp(-np.arange(512) / rng.choice([3, 20, 60], (n, 1)))
    values = jnp.asarray(rng.standard_normal((n, 512)) * scale * decay, jnp.float32)
    values = values.at[3].set(0)
    classes = jnp.asarray(rng.integers(0, MODEL.tables.shape[0], n), jnp.int32)
    scan = jax.jit(scan_order.make_scan_order)(MODEL, LAYOUT)
    costs = jax.jit(make_decision_costs)(MODEL)
    counts = count_integers(MODEL, costs, scan, LAYOUT, values, classes)
    # Parts are rounded, but fixed point, which is all that counts here, is the same.
    parts = split_coefficients(values)._replace(fine=None) if in_parts else FloatCoefficients(values.T)
    tables = TrellisTables(MODEL, scan, jax.jit(make_rates)(MODEL))
    blocks = TrellisBlocks(classes, LAYOUT.partial_type, counts)
    integers, ends = by_kernel(tables, parts, blocks)
    packed = jax.jit(SplitIntegers.whole)(integers)
    points = by_reference(tables, values, blocks)
    found = jax.jit(quantization.points_in_order)(scan, LAYOUT, packed, ends)
    np.testing.assert_array_equal(found, points)
    assert np.any(points)

    wanted, wanted_ends = jax.jit(scan_reference)(MODEL, LAYOUT, scan, points)
    np.testing.assert_array_equal(ends, wanted_ends)
    counts = scan_order.count_coded(scan, LAYOUT, ends)
    is_coded = np.arange(511) < np.asarray(counts)[:, None]
    wanted = np.asarray(wanted).reshape(n, -1)
    np.testing.assert_array_equal(np.asarray(packed).reshape(n, -1)[is_coded], wanted[is_coded])
    assert 0 < is_coded.mean() < 1
