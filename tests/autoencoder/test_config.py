import json

import pytest

from nvc_jax.autoencoder.config import VARIANTS, ConvolutionalConfig, DenseConfig
from nvc_jax.core.model import ModelConfig
from nvc_jax.models.registry import config_from_dict

CONFIGS = {**VARIANTS, "convolutional": ConvolutionalConfig(margin=2)}


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
