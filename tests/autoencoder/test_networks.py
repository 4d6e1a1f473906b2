import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from nvc_jax.autoencoder.config import VARIANTS, ConvolutionalConfig, DenseConfig
from nvc_jax.autoencoder.convolutions import convolve_doubling, convolve_halving
from nvc_jax.autoencoder.networks import bind, init_params
from nvc_jax.core.model import ModelConfig
from nvc_jax.models.registry import abstract_params, config_from_dict

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
GOLDEN = Path(__file__).parents[1] / "format" / "golden" / "published_zero_margin.npz"
CONFIGS = {**VARIANTS, "convolutional": ConvolutionalConfig(margin=2)}


def published_params(arrays: dict[str, np.ndarray]) -> dict:
    """The published PyTorch weights (out, in) under our names, as (in, out) kernels."""

    def linear(name: str) -> dict:
        return {"kernel": arrays[f"{name}.weight"].T, "bias": arrays[f"{name}.bias"]}

    return {
        "encoder": {0: linear("encoder.0")},
        "mean": linear("fc_mu"),
        "log_variance": linear("fc_var"),
        "decoder": {0: linear("decoder.0")},
        "output": linear("decoder.2"),
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_shapes_and_core(name: str) -> None:
    config = CONFIGS[name]
    model = bind(config, init_params(config, key=jax.random.key(0)))
    blocks = jax.random.uniform(jax.random.key(1), (3, *[config.side] * 3))
    mean, log_variance = model.encode(blocks)
    decoded = model.decode(mean)
    assert mean.shape == log_variance.shape == (3, config.latent_dim)
    assert decoded.shape == blocks.shape
    core = slice(config.margin, config.margin + config.block_size)
    np.testing.assert_allclose(model.decode_core(mean), decoded[:, core, core, core], atol=1e-6)


@pytest.mark.parametrize("channels", [(1, 5), (4, 1)])
def test_matrix_products_are_the_convolutions(channels: tuple[int, int]) -> None:
    keys = jax.random.split(jax.random.key(0), 2)
    values = jax.random.normal(keys[0], (2, 6, 4, 8, channels[0]))
    rngs = nnx.Rngs(0, bias=1)
    initialise = nnx.initializers.normal()
    for kind, product in ((nnx.Conv, convolve_halving), (nnx.ConvTranspose, convolve_doubling)):
        layer = kind(*channels, (3, 3, 3), strides=(2, 2, 2), bias_init=initialise, rngs=rngs)
        expected = layer(values)
        got = product(values, layer)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_variants_are_those_of_table_1() -> None:
    rows = {n: (c.block_size, c.margin, c.side, c.hidden_sizes, c.latent_dim) for n, c in VARIANTS.items()}
    assert rows == {
        "zero-margin": (8, 0, 8, (128,), 32),
        "two-wide-margin": (8, 2, 12, (128,), 32),
        "more-parameters": (8, 2, 12, (256,), 64),
    }


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_configuration_survives_json(config: ModelConfig) -> None:
    assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_bad_configurations_are_named() -> None:
    with pytest.raises(ValueError, match=r"`latent_dim` \(=0\)"):
        DenseConfig(latent_dim=0)
    with pytest.raises(ValueError, match=r"`hidden_sizes` \(=\(\)\)"):
        DenseConfig(hidden_sizes=())
    with pytest.raises(ValueError, match="multiple of 8"):
        ConvolutionalConfig(margin=2, channels=(1, 2, 3))
    with pytest.raises(ValueError, match="`architecture`"):
        config_from_dict({"architecture": "psychic"})
    with pytest.raises(ValueError, match="unknown fields"):
        config_from_dict({"architecture": "dense", "depth": 3})


@pytest.mark.parametrize("name", VARIANTS)
def test_published_weights_reproduce_their_examples(name: str) -> None:
    path = REFERENCE / f"{name}.npz"
    if not path.exists():
        pytest.skip("the published weights are not here")
    config, arrays = VARIANTS[name], dict(np.load(path))
    model = bind(config, published_params(arrays))
    blocks = arrays["example_blocks"].reshape(-1, *[config.side] * 3)
    latents = arrays["example_latents"]
    np.testing.assert_allclose(model.encode(blocks)[0], latents, atol=1e-5, rtol=1e-5)
    decoded = model.decode(latents).reshape(len(latents), -1)
    np.testing.assert_allclose(decoded, arrays["example_reconstruction"], atol=1e-5)


def test_published_slice_reproduces_its_voxels() -> None:
    """Four latents and the weights of the first 64 voxels: the rest of the decoder is zero."""
    arrays = dict(np.load(GOLDEN))
    config = VARIANTS["zero-margin"]
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract_params(config))
    params["decoder"][0] = {"kernel": arrays["decoder.0.weight"].T, "bias": arrays["decoder.0.bias"]}
    n = arrays["decoder.2.bias"].size
    params["output"]["kernel"][:, :n] = arrays["decoder.2.weight"].T
    params["output"]["bias"][:n] = arrays["decoder.2.bias"]
    decoded = bind(config, params).decode(arrays["latents"]).reshape(4, -1)[:, :n]
    np.testing.assert_allclose(decoded, arrays["reconstruction"], atol=1e-5)
