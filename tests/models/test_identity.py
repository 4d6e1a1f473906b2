import hashlib
import json

import jax
import numpy as np
from drawn_params import draw_params

from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.models.identity import model_sha256

CONFIG = DenseConfig(block_size=2, hidden_sizes=(3,), latent_dim=2)


def test_sha256_names_config_and_parameters() -> None:
    params = draw_params(CONFIG)
    sha256 = model_sha256(CONFIG, params)
    assert sha256 == model_sha256(CONFIG, jax.device_get(params))
    changed = jax.tree.map(lambda leaf: leaf + 1, params)
    assert sha256 != model_sha256(CONFIG, changed)
    assert sha256 != model_sha256(DenseConfig(block_size=2, hidden_sizes=(4,), latent_dim=2), params)


def test_sha256_does_not_depend_on_the_order_of_parameters() -> None:
    first, second = np.zeros(2, np.float32), np.ones(3, np.float32)
    sha256 = model_sha256(CONFIG, {"a": first, "b": second})
    assert sha256 == model_sha256(CONFIG, {"b": second, "a": first})
    assert sha256 != model_sha256(CONFIG, {"a": second, "b": first})


def test_sha256_is_that_of_the_format() -> None:
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    digest = hashlib.sha256(json.dumps(CONFIG.to_dict(), sort_keys=True).encode())
    digest.update(b"['layer']['kernel'](2, 3)" + weights.tobytes())
    assert model_sha256(CONFIG, {"layer": {"kernel": weights}}) == digest.hexdigest()
