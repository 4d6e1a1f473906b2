import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_params import draw_params
from rounded_models import draw_latents, make_exact, round_decoder

from nvc_jax.autoencoder import tile_blend_decoder, tile_layout
from nvc_jax.autoencoder.arithmetic import FAST, arithmetic_of_tpus
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import DenseAutoencoder, bind

CONFIG = DenseConfig(margin=2, hidden_sizes=(32,), latent_dim=5)
ROUNDING = 1e-4
"""Of the range: voxels have fifteen bits before they are blended."""


@pytest.mark.parametrize(
    ("shape", "dtype"), [((16, 64, 128), "uint8"), ((40, 70, 128), "float32"), ((19, 64, 140), "float32")]
)
def test_voxels_are_those_of_the_layout(shape: tuple, dtype: str) -> None:
    model = bind(CONFIG, draw_params(CONFIG), arithmetic_of_tpus(FAST))
    assert isinstance(model, DenseAutoencoder)
    grid = tuple(-(-side // 8) for side in shape)
    make_exact(model)
    low, high = (0, 200) if dtype == "uint8" else (-3, 3)
    encoded = EncodedLatents(
        latents=draw_latents(*grid, CONFIG.latent_dim),
        minimum=jnp.float32(low),
        maximum=jnp.float32(high),
        shape=shape,
        dtype=dtype,
    )
    expected = jax.jit(tile_layout.decode, static_argnums=2)(round_decoder(model), encoded, "blend")
    decoded = tile_blend_decoder.decode(model, encoded, interpret=True)
    assert (decoded.shape, decoded.dtype) == (expected.shape, expected.dtype)
    difference = np.abs(np.asarray(decoded, np.float32) - np.asarray(expected, np.float32))
    assert difference.max() <= (1 if dtype == "uint8" else ROUNDING * (high - low))
