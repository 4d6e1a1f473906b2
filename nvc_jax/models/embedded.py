"""A model as a JSON-ready object inside other metadata."""

import base64
import math
from typing import Any

import jax

from nvc_jax.core.byte_codecs import decode_bytes, encode_bytes
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params, check_params
from nvc_jax.models.identity import model_sha256
from nvc_jax.models.registry import model_of, stored_config

MAX_MODEL_BYTES = 1 << 28
"""Bytes of an embedded model's parameters, at most."""
_LARGEST_ITEM_BYTES = 8
_BYTES_AROUND_LEAF = 1024
"""Bytes of MessagePack for the name, shape and dtype of a parameter, at most."""


def embed_model(config: ModelConfig, params: Params) -> dict[str, Any]:
    """Describe a model as a JSON-ready object, for metadata that must not depend on other files.

    Returns:
        ``config``: as in a checkpoint. ``params``: nested dictionaries of arrays in MessagePack as Flax
        writes it, compressed by Zstandard, in base 64. ``bytes``: length of the MessagePack.
    """
    from flax import serialization  # takes long to import, and few containers embed a model

    raw = serialization.msgpack_serialize(jax.device_get(params))
    packed = base64.b64encode(encode_bytes(raw, "zstd")).decode()
    return {"config": config.to_dict(), "bytes": len(raw), "params": packed}


def extract_model(embedded: dict[str, Any], sha256: str) -> tuple[ModelConfig, Params]:
    """Read the model that ``embed_model`` described.

    Raises:
        ValueError: it is damaged, or not the one of that SHA-256.
    """
    from flax import serialization

    try:
        config = stored_config(embedded["config"])
        abstract = model_of(config).abstract_params()
        n_bytes = _check_size(embedded["bytes"], abstract)
        raw = decode_bytes(base64.b64decode(embedded["params"], validate=True), "zstd", n_bytes)
        params = serialization.msgpack_restore(raw)
        check_params(params, abstract)
        actual = model_sha256(config, params)
    except Exception as error:  # MessagePack raises kinds of its own
        raise ValueError(f"the embedded model is damaged: {error}") from error
    if not actual.startswith(sha256):
        raise ValueError(f"the embedded model is not the one of SHA-256 {sha256}")
    return config, params


def _check_size(n_bytes: Any, abstract: Params) -> int:
    """Check the length of MessagePack data against the parameters that they hold."""
    leaves = jax.tree.leaves(abstract)
    expected = sum(math.prod(leaf.shape) * _LARGEST_ITEM_BYTES for leaf in leaves)
    most = min(expected + _BYTES_AROUND_LEAF * (len(leaves) + 1), MAX_MODEL_BYTES)
    if not isinstance(n_bytes, int) or not 0 < n_bytes <= most:
        raise ValueError(f"`bytes` (={n_bytes!r:.80}) must be a number from 1 to {most}")
    return n_bytes
