"""The identity of a model: a SHA-256 of its configuration and parameters."""

import hashlib
import json

import jax
import numpy as np

from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params


def model_sha256(config: ModelConfig, params: Params) -> str:
    """SHA-256 over the configuration's JSON and every parameter's path, shape and float32 bytes."""
    digest = hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode())
    for path, leaf in sorted((jax.tree_util.keystr(p), x) for p, x in jax.tree.leaves_with_path(params)):
        array = np.ascontiguousarray(leaf, "<f4")
        digest.update(f"{path}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
