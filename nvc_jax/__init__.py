"""nvc_jax: a learned compressor for 3-D scientific volumes, in JAX."""

from nvc_jax.blocks import assemble_blocks, extract_blocks
from nvc_jax.codec import Codec, Encoded, decode_volume, encode_volume, load_codec
from nvc_jax.training import train

__all__ = [
    "Codec",
    "Encoded",
    "assemble_blocks",
    "decode_volume",
    "encode_volume",
    "extract_blocks",
    "load_codec",
    "train",
]
