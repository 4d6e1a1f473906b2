"""Models of any kind: found, loaded, used in memory, trained and saved.

Read ``registry`` first: it lists the kinds of models, and is the only place that does. ``codec`` puts a
model and its parameters together and encodes and decodes volumes in memory. ``checkpoints`` stores models
in directories, ``embedded`` inside a container's metadata; ``identity`` is the SHA-256 by which both name
them, ``card`` the text that describes them. ``training`` trains a model of any kind.

The package imports no container. Outside ``registry`` it uses models through ``core.model.Model`` alone.
"""

from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.models.checkpoints import find_checkpoint, load_checkpoint, save_checkpoint, shipped_models
from nvc_jax.models.codec import Codec, decode_volume, encode_volume, load_codec
from nvc_jax.models.embedded import embed_model, extract_model
from nvc_jax.models.identity import model_sha256
from nvc_jax.models.registry import ModelKind, model_of, register
from nvc_jax.models.training import TrainingResult, train

__all__ = [
    "DEFAULT_MODEL",
    "Codec",
    "ModelKind",
    "TrainingResult",
    "decode_volume",
    "embed_model",
    "encode_volume",
    "extract_model",
    "find_checkpoint",
    "load_checkpoint",
    "load_codec",
    "model_of",
    "model_sha256",
    "register",
    "save_checkpoint",
    "shipped_models",
    "train",
]
