"""nvc_jax: a learned compressor for 3-D scientific volumes, in JAX."""

from nvc_jax.blocks import assemble_blocks, extract_blocks
from nvc_jax.codec import Codec, decode_volume, encode_volume, load_codec
from nvc_jax.header import FormatError
from nvc_jax.inspection import evaluate
from nvc_jax.latents import Encoded
from nvc_jax.pipeline import compress, decompress, open
from nvc_jax.training import train

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
