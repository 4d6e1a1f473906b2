from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nvc_jax
from nvc_jax.spectral import analysis, group_analysis
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS
from nvc_jax.transform.separable import Original, TransformShape

SHAPE = (32, 24, 40)


@pytest.mark.parametrize("step", [0.1, 0.005])
def test_gpus_decide_as_other_devices_do(codec: nvc_jax.Codec, step: float) -> None:
    rng = np.random.default_rng(0)
    smooth = np.cumsum(np.cumsum(rng.standard_normal(SHAPE), axis=0), axis=1)
    volume = jnp.asarray(smooth / np.ptp(smooth) + rng.normal(0, 0.01, SHAPE), jnp.float32)
    original = Original(volume, jnp.min(volume), jnp.max(volume))
    transform = TransformShape(jnp.array([1, 0, 2], jnp.int32), jnp.array([1, 2, 0], jnp.int32))
    shaped = analysis.ShapedVolume(
        *(jax.jit(Original.padded)(original), jnp.float32(step)),
        *(jnp.array((27, 24, 37), jnp.int32), jnp.int32(1), transform),
    )
    profiles = codec.params["entropy"]
    expected = jax.jit(analysis.analyze)(profiles, shaped)
    by_groups = partial(group_analysis.analyze, options=DEFAULT_OPTIONS, interpret=True)
    found = jax.jit(by_groups)(profiles, shaped._replace(original=original))
    assert found.profile == expected.profile
    assert found.predictor == expected.predictor
    np.testing.assert_allclose(found.estimated_bits, expected.estimated_bits, rtol=1e-3)
    np.testing.assert_array_equal(found.symbols.first, expected.symbols.first)
    # Coefficients differ by roundings, by which a few decisions are a close call.
    assert np.mean(found.symbols.classes == expected.symbols.classes) > 0.98
    assert np.mean(found.symbols.points == expected.symbols.points) > 0.999
    assert np.mean(found.symbols.points != 0) > 0.001
