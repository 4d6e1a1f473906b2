from pathlib import Path

import jax
import numpy as np
import pytest
from drawn_params import draw_params

from nvc_jax.autoencoder.config import VARIANTS, ConvolutionalConfig
from nvc_jax.autoencoder.networks import abstract_params, bind, init_params

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
def test_cores_are_parts_of_decoded_blocks(name: str) -> None:
    config = CONFIGS[name]
    model = bind(config, draw_params(config))
    blocks = jax.random.uniform(jax.random.key(1), (3, *[config.side] * 3))
    mean, log_variance = jax.jit(model.encode)(blocks)
    decoded = jax.jit(model.decode)(mean)
    assert mean.shape == log_variance.shape == (3, config.latent_dim)
    assert decoded.shape == blocks.shape
    core = slice(config.margin, config.margin + config.block_size)
    np.testing.assert_allclose(jax.jit(model.decode_core)(mean), decoded[:, core, core, core], atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_abstract_parameters_have_the_shapes_and_dtypes_of_parameters(name: str) -> None:
    def describe(leaf: jax.Array | jax.ShapeDtypeStruct) -> tuple:
        return leaf.shape, leaf.dtype

    params = init_params(CONFIGS[name], key=jax.random.key(0))
    assert jax.tree.map(describe, abstract_params(CONFIGS[name])) == jax.tree.map(describe, params)


@pytest.mark.parametrize("name", VARIANTS)
def test_published_weights_reproduce_their_examples(name: str) -> None:
    path = REFERENCE / f"{name}.npz"
    if not path.exists():
        pytest.skip("the published weights are not here")
    config, arrays = VARIANTS[name], dict(np.load(path))
    model = bind(config, published_params(arrays))
    blocks = arrays["example_blocks"].reshape(-1, *[config.side] * 3)
    latents = arrays["example_latents"]
    np.testing.assert_allclose(jax.jit(model.encode)(blocks)[0], latents, atol=1e-5, rtol=1e-5)
    decoded = jax.jit(model.decode)(latents).reshape(len(latents), -1)
    np.testing.assert_allclose(decoded, arrays["example_reconstruction"], atol=1e-5)


def test_published_slice_reproduces_its_voxels() -> None:
    """Decode four latents by the weights of the first 64 voxels; the rest of the decoder is zero."""
    arrays = dict(np.load(GOLDEN))
    config = VARIANTS["zero-margin"]
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract_params(config))
    params["decoder"][0] = {"kernel": arrays["decoder.0.weight"].T, "bias": arrays["decoder.0.bias"]}
    n = arrays["decoder.2.bias"].size
    params["output"]["kernel"][:, :n] = arrays["decoder.2.weight"].T
    params["output"]["bias"][:n] = arrays["decoder.2.bias"]
    decoded = jax.jit(bind(config, params).decode)(arrays["latents"]).reshape(4, -1)[:, :n]
    np.testing.assert_allclose(decoded, arrays["reconstruction"], atol=1e-5)
