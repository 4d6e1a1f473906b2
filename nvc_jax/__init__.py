"""nvc_jax: a learned, error-bounded compressor for 3-D scientific volumes, in JAX.

``compress``, ``decompress`` and ``open`` work with containers; ``evaluate``, ``verify``, ``info`` and
``preview`` look into them. ``load_codec``, ``encode_volume`` and ``decode_volume`` are pure functions on
device arrays, and ``train`` makes new models. ``extract_blocks`` and ``assemble_blocks``, which cut volumes
into blocks with blended margins, serve the models of the paper *Neural Volume Compression* (Bevec, 2023)
alone.
"""

from typing import TYPE_CHECKING

from nvc_jax.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from nvc_jax.autoencoder.blocks import assemble_blocks, extract_blocks
    from nvc_jax.autoencoder.encoded import EncodedLatents, EncodedLatentStream
    from nvc_jax.autoencoder.training.config import AutoencoderTraining
    from nvc_jax.comparison.compare import ComparedCodec, compare
    from nvc_jax.comparison.estimate import Estimate, estimate
    from nvc_jax.compression.compress import compress
    from nvc_jax.compression.decompress import decompress
    from nvc_jax.compression.progress import ByteProgress
    from nvc_jax.compression.result import CompressionResult
    from nvc_jax.compression.view import open
    from nvc_jax.container.metadata import FormatError
    from nvc_jax.container.zarr_options import zarr_codec
    from nvc_jax.core.encoded_volume import EncodedVolume
    from nvc_jax.core.program_cache import use_program_cache
    from nvc_jax.evaluation.containers import evaluate, info, preview, verify
    from nvc_jax.io.raw import RawFile
    from nvc_jax.io.selection import Selection
    from nvc_jax.models.codec import Codec, decode_volume, encode_volume, load_codec
    from nvc_jax.models.training import TrainingResult, train
    from nvc_jax.reporting.report import report
    from nvc_jax.spectral.encoded_stream import EncodedStream
    from nvc_jax.spectral.training.config import SpectralTraining
    from nvc_jax.training.launch import connect_processes
    from nvc_jax.training.progress import TrainingProgress

__version__ = "0.1.0"

__all__ = [
    "AutoencoderTraining",
    "ByteProgress",
    "Codec",
    "ComparedCodec",
    "CompressionResult",
    "EncodedLatentStream",
    "EncodedLatents",
    "EncodedStream",
    "EncodedVolume",
    "Estimate",
    "FormatError",
    "RawFile",
    "Selection",
    "SpectralTraining",
    "TrainingProgress",
    "TrainingResult",
    "__version__",
    "assemble_blocks",
    "compare",
    "compress",
    "connect_processes",
    "decode_volume",
    "decompress",
    "encode_volume",
    "estimate",
    "evaluate",
    "extract_blocks",
    "info",
    "load_codec",
    "open",
    "preview",
    "report",
    "train",
    "use_program_cache",
    "verify",
    "zarr_codec",
]

_NAMES = {
    "autoencoder.blocks": "assemble_blocks extract_blocks",
    "autoencoder.encoded": "EncodedLatents EncodedLatentStream",
    "autoencoder.training.config": "AutoencoderTraining",
    "comparison.compare": "ComparedCodec compare",
    "comparison.estimate": "Estimate estimate",
    "compression.compress": "compress",
    "compression.decompress": "decompress",
    "compression.progress": "ByteProgress",
    "compression.result": "CompressionResult",
    "compression.view": "open",
    "container.metadata": "FormatError",
    "container.zarr_options": "zarr_codec",
    "core.encoded_volume": "EncodedVolume",
    "core.program_cache": "use_program_cache",
    "evaluation.containers": "evaluate info preview verify",
    "io.raw": "RawFile",
    "io.selection": "Selection",
    "models.codec": "Codec decode_volume encode_volume load_codec",
    "models.training": "TrainingResult train",
    "reporting.report": "report",
    "spectral.encoded_stream": "EncodedStream",
    "spectral.training.config": "SpectralTraining",
    "training.launch": "connect_processes",
    "training.progress": "TrainingProgress",
}
"""Names that each module has."""

__getattr__, __dir__ = lazy_exports(__name__, _NAMES)
