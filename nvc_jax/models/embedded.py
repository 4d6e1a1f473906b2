"""A model as a JSON-ready object inside other metadata."""

import base64
from typing import Any

import jax

from nvc_jax.core.byte_codecs import decode_bytes, encode_bytes
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params
from nvc_jax.models.identity import model_sha256
from nvc_jax.models.registry import stored_config


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
        raw = decode_bytes(base64.b64decode(embedded["params"], validate=True), "zstd", embedded["bytes"])
        params = serialization.msgpack_restore(raw)
        actual = model_sha256(config, params)
    except Exception as error:  # MessagePack raises kinds of its own
        raise ValueError(f"the embedded model is damaged: {error}") from error
    if not actual.startswith(sha256):
        raise ValueError(f"the embedded model is not the one of SHA-256 {sha256}")
    return config, params
