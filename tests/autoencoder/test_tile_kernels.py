import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_params import draw_params
from rounded_models import (
    LIMITS,
    draw_volume,
    round_encoder,
    round_volume,
)

from nvc_jax.autoencoder import tile_kernels, tile_layout
from nvc_jax.autoencoder.arithmetic import FAST, FLOAT32, Arithmetic, arithmetic_of_tpus
from nvc_jax.autoencoder.config import ConvolutionalConfig, DenseConfig
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import DenseAutoencoder, bind
from nvc_jax.core.model import ModelConfig

PLAIN = DenseConfig(hidden_sizes=(24,), latent_dim=5)
DEEP = DenseConfig(hidden_sizes=(32, 16), latent_dim=8)
MARGIN = DenseConfig(margin=2, hidden_sizes=(24,), latent_dim=5)
WHOLE, RAGGED = (16, 64, 256), (19, 70, 300)
"""Shapes of one whole program, and of eight that lie partly outside."""
ROUNDING = 1e-4
"""Three passes of bfloat16 have 16 bits."""


def bind_fast(config: ModelConfig, precision: str = FAST) -> DenseAutoencoder:
    model = bind(config, draw_params(config), arithmetic_of_tpus(precision))
    assert isinstance(model, DenseAutoencoder)
    return model


# Layers do not depend on shapes, nor dtypes on either. Each program of kernels takes seconds to compile.
@pytest.mark.parametrize(("config", "shape"), [(PLAIN, RAGGED), (DEEP, WHOLE)], ids=["plain", "deep"])
def test_latents_are_those_of_the_layout(config: DenseConfig, shape: tuple) -> None:
    model, volume = bind_fast(config), draw_volume(*shape)
    assert tile_kernels.can_run(model, shape)
    expected = jax.jit(tile_layout.encode)(round_encoder(model), round_volume(volume), *LIMITS)
    encoded = tile_kernels.encode(model, jnp.asarray(volume), *LIMITS, interpret=True)
    np.testing.assert_allclose(encoded, expected, atol=ROUNDING)


@pytest.mark.parametrize(
    ("config", "shape", "dtype"),
    [(PLAIN, RAGGED, "uint8"), (MARGIN, RAGGED, "float32"), (DEEP, WHOLE, "float32")],
    ids=["plain", "margin", "deep"],
)
def test_voxels_are_those_of_the_layout(config: DenseConfig, shape: tuple, dtype: str) -> None:
    model = bind_fast(config)
    grid = tuple(-(-side // 8) for side in shape)
    latents = np.random.default_rng(0).normal(size=(*grid, config.latent_dim)).astype(np.float32)
    low, high = (jnp.float32(limit) for limit in ((0, 200) if dtype == "uint8" else (-3, 3)))
    encoded = EncodedLatents(
        latents=jnp.asarray(latents), minimum=low, maximum=high, shape=shape, dtype=dtype
    )
    expected = jax.jit(tile_layout.decode, static_argnums=2)(model, encoded, "crop")
    decoded = tile_kernels.decode(model, encoded, interpret=True)
    assert (decoded.shape, decoded.dtype) == (expected.shape, expected.dtype)
    difference = np.abs(np.asarray(decoded, np.float32) - np.asarray(expected, np.float32))
    assert difference.max() <= (1 if dtype == "uint8" else ROUNDING)


def test_programs_beyond_the_kernels_are_told() -> None:
    shape = WHOLE
    assert not tile_kernels.can_run(bind_fast(PLAIN, FLOAT32), shape)
    assert not tile_kernels.can_run(bind_fast(PLAIN), (16, 64, 255))
    assert not tile_kernels.can_run(bind_fast(dataclasses.replace(PLAIN, block_size=4)), shape)
    assert not tile_kernels.can_run(bind_fast(dataclasses.replace(PLAIN, latent_dim=513)), shape)
    config = ConvolutionalConfig(channels=(2, 2), latent_dim=3)
    convolutional = bind(config, draw_params(config), Arithmetic())
    assert not tile_kernels.can_run(convolutional, shape)
