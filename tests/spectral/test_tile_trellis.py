from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import layout_for

import nvc_jax
from nvc_jax.spectral import tile_trellis, trellis
from nvc_jax.spectral.profiles import take_profile
from nvc_jax.spectral.scan_order import make_scan_order
from nvc_jax.spectral.trellis_costs import make_rates
from nvc_jax.spectral.trellis_steps import TrellisBlocks, TrellisTables

MODEL = jax.jit(take_profile)(nvc_jax.load_codec("nvc-1").params["entropy"], jnp.int32(1))
LAYOUT = layout_for((16, 32, 40), (16, 27, 40))
by_reference = jax.jit(trellis.quantize_reference)
by_tiles = jax.jit(partial(tile_trellis.quantize, interpret=True))


@pytest.mark.parametrize("scale", [1.0, 5.0, 1e9])
@pytest.mark.parametrize("lengths", [[0, 1, 16, 100, 511], [0, 40]])
def test_the_kernels_equal_the_reference(scale: float, lengths: list) -> None:
    rng = np.random.default_rng(0)
    n = len(LAYOUT.order)
    decay = np.exp(-np.arange(512) / 60)
    values = jnp.asarray(rng.standard_normal((n, 512)) * scale * decay, jnp.float32)
    classes = jnp.asarray(rng.integers(0, MODEL.tables.shape[0], n), jnp.int32)
    scan = jax.jit(make_scan_order)(MODEL, LAYOUT)
    counts = jnp.asarray(rng.choice(lengths, n), jnp.int32)
    counts = jnp.minimum(counts, scan.counts[LAYOUT.partial_type])
    tables = TrellisTables(MODEL, scan, jax.jit(make_rates)(MODEL))
    blocks = TrellisBlocks(classes, LAYOUT.partial_type, counts)
    points = by_tiles(tables, values, blocks)
    np.testing.assert_array_equal(points, by_reference(tables, values, blocks))
    assert np.any(points)
