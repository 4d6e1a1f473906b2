import json

import jax
import numpy as np
import pytest
from drawn_params import draw_params

from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.core.parameters import Params
from nvc_jax.models.checkpoints import load_checkpoint
from nvc_jax.models.embedded import embed_model, extract_model
from nvc_jax.models.identity import model_sha256

CONFIG = DenseConfig(block_size=2, hidden_sizes=(3,), latent_dim=2)


@pytest.fixture(scope="module")
def params() -> Params:
    return draw_params(CONFIG)


def test_models_come_back_from_json(params: Params) -> None:
    for config, values in ((CONFIG, params), load_checkpoint("nvc-1")):
        embedded = json.loads(json.dumps(embed_model(config, values)))
        extracted_config, extracted_values = extract_model(embedded, model_sha256(config, values))
        assert extracted_config == config
        jax.tree.map(np.testing.assert_array_equal, extracted_values, values)


def test_the_model_of_another_sha256_is_refused(params: Params) -> None:
    with pytest.raises(ValueError, match="not the one of SHA-256 0000"):
        extract_model(embed_model(CONFIG, params), "0" * 64)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("params", "AAAA"),
        ("params", "not base 64!"),
        ("bytes", 3),
        ("config", {"architecture": "psychic"}),
        ("config", None),
    ],
)
def test_damaged_models_are_errors(field: str, value: object, params: Params) -> None:
    embedded = embed_model(CONFIG, params) | {field: value}
    with pytest.raises(ValueError, match="the embedded model is damaged"):
        extract_model(embedded, model_sha256(CONFIG, params))
    del embedded[field]
    with pytest.raises(ValueError, match="the embedded model is damaged"):
        extract_model(embedded, model_sha256(CONFIG, params))
