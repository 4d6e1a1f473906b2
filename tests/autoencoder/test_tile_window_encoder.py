import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_params import draw_params
from rounded_models import LIMITS, draw_volume, round_encoder, round_volume

from nvc_jax.autoencoder import tile_layout, tile_window_encoder
from nvc_jax.autoencoder.arithmetic import FAST, arithmetic_of_tpus
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.networks import DenseAutoencoder, bind

PLAIN = DenseConfig(margin=2, hidden_sizes=(32,), latent_dim=5)
DEEP = DenseConfig(margin=2, hidden_sizes=(32, 16), latent_dim=8)
ROUNDING = 1e-4
"""Three passes of bfloat16 have 16 bits."""


@pytest.mark.parametrize(
    ("config", "shape"), [(PLAIN, (16, 64, 128)), (DEEP, (19, 70, 140))], ids=["plain", "deep"]
)
def test_latents_are_those_of_the_layout(config: DenseConfig, shape: tuple) -> None:
    model = bind(config, draw_params(config), arithmetic_of_tpus(FAST))
    assert isinstance(model, DenseAutoencoder)
    volume = draw_volume(*shape)
    expected = jax.jit(tile_layout.encode)(round_encoder(model), round_volume(volume), *LIMITS)
    encoded = tile_window_encoder.encode(model, jnp.asarray(volume), *LIMITS, interpret=True)
    np.testing.assert_allclose(encoded, expected, atol=ROUNDING)
