import jax
import jax.numpy as jnp
import numpy as np
import pytest
from autoencoder_slabs import (
    CONFIGS,
    LIMITS,
    RANGE,
    ROUNDING,
    VOLUME,
    as_encoded,
    decode_in_slabs,
    encode_in_slabs,
    params_of,
)

from nvc_jax.autoencoder import tile_layout
from nvc_jax.autoencoder.networks import DenseAutoencoder, bind

DENSE = [name for name, config in CONFIGS.items() if config.architecture == "dense"]
BLENDED = [name for name in DENSE if 0 < 2 * CONFIGS[name].margin <= CONFIGS[name].block_size]


def bind_dense(name: str, params: dict) -> DenseAutoencoder:
    model = bind(CONFIGS[name], params)
    assert isinstance(model, DenseAutoencoder)
    return model


@pytest.mark.parametrize("name", DENSE)
def test_latents_are_those_of_slabs(name: str) -> None:
    config = CONFIGS[name]
    encode = jax.jit(
        lambda params: tile_layout.encode(bind_dense(name, params), jnp.asarray(VOLUME), *LIMITS)
    )
    np.testing.assert_allclose(encode(params_of(config)), encode_in_slabs(config), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "mode"), [(name, "crop") for name in DENSE] + [(name, "blend") for name in BLENDED]
)
def test_voxels_are_those_of_slabs(name: str, mode: str) -> None:
    config = CONFIGS[name]
    params, encoded = params_of(config), as_encoded(encode_in_slabs(config))
    expected = jax.jit(lambda params: decode_in_slabs(bind(config, params), encoded, mode))(params)
    decoded = jax.jit(lambda params: tile_layout.decode(bind_dense(name, params), encoded, mode))(params)
    np.testing.assert_allclose(decoded, expected, atol=ROUNDING * RANGE)


def test_padding_is_the_minimum_of_the_range() -> None:
    """Latents of blocks that reach out of the volume see zeros there, whatever the range."""
    config = CONFIGS["margin"]
    model = bind_dense("margin", params_of(config))
    raised = jax.jit(tile_layout.encode)(model, jnp.asarray(VOLUME) + 1000, *(x + 1000 for x in LIMITS))
    np.testing.assert_allclose(raised, encode_in_slabs(config), atol=1e-4)
