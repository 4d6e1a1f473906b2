"""A volume of noise as nvc-1's encoder has decided about it, ready to be coded."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import nvc_jax
from nvc_jax.spectral.analysis import Analysis, ShapedVolume, analyze, decide_shape
from nvc_jax.spectral.profiles import Profiles

SHAPE = (32, 40, 64)
"""Volume of 160 blocks: streams of up to 80 lanes."""
VALID = jnp.array([28, 40, 62], jnp.int32)


@functools.cache
def analyse_noise() -> Analysis:
    """Decisions of the encoder about noise, and a block of integers with high and low extra bits."""
    profiles = nvc_jax.load_codec("nvc-1").params["entropy"]
    noise = np.random.default_rng(1).standard_normal(SHAPE, dtype=np.float32)
    volume = jnp.asarray(np.cumsum(noise, axis=0) / 50)

    @jax.jit
    def decide_and_analyze(profiles: Profiles, volume: jax.Array) -> Analysis:
        transform = decide_shape(profiles, volume, jnp.float32(0.02), VALID).shape
        return analyze(profiles, ShapedVolume(volume, jnp.float32(0.02), VALID, jnp.int32(0), transform))

    made = decide_and_analyze(profiles, volume)
    points = np.array(made.symbols.points)
    points[3, 1:] = np.where(points[3, 1:] != 0, points[3, 1:] + (1 << 21), 0)  # escapes
    return made._replace(symbols=made.symbols._replace(points=jnp.asarray(points)))
