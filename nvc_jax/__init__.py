"""nvc_jax: a learned compressor for 3-D scientific volumes, in JAX."""

from nvc_jax.autoencoder.blocks import assemble_blocks, extract_blocks
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.training.loop import train
from nvc_jax.compression.compress import compress
from nvc_jax.compression.decompress import decompress
from nvc_jax.compression.view import open
from nvc_jax.container.metadata import FormatError
from nvc_jax.evaluation.containers import evaluate
from nvc_jax.models.codec import Codec, decode_volume, encode_volume, load_codec

__all__ = [
    "Codec",
    "Encoded",
    "FormatError",
    "assemble_blocks",
    "compress",
    "decode_volume",
    "decompress",
    "encode_volume",
    "evaluate",
    "extract_blocks",
    "load_codec",
    "open",
    "train",
]
