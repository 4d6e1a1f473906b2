"""Foundations that every other package may use. The package imports nothing of ours.

Small helpers come first: ``shapes``, ``dtypes``, ``normalization`` (values to [0, 1] and back), ``errors``
(squared error, PSNR, largest error), ``valid_values`` (those that are measurements), ``long_integers``
(arithmetic on int64 and uint64), ``chunk_grid`` (regions of a volume), ``spatial_axes`` (of arrays with two
to five axes), ``byte_codecs`` (Zstandard, Blosc, CRC-32C), ``json_documents`` (within limits),
``header_fields`` (numbers and values in the headers of payloads), ``batching`` (loops of compiled programs),
``devices`` (of the process), ``device_batches`` (that fill one), ``executors`` (threads that are kept),
``concurrency`` (their work), ``gathering`` (of their requests), ``joined_calls`` (of any threads),
``deferred`` (objects that any thread may lose), ``identity`` (of objects as keys of caches), ``heaps`` (of
the C library), ``slabs`` (of large arrays), ``aligned_arrays`` (that JAX takes as they are), ``filling`` (of
gaps), ``neighbours`` (that are equal), ``searching`` (in sorted numbers), ``group_kernels`` (of GPUs),
``tile_lookup`` (in kernels of TPUs), ``running_sums``, ``compaction`` (of items that count),
``systematic_sampling``, ``optional_imports``, ``lazy_exports`` (names that packages import at first use),
``choices`` (names that users choose among), ``jax_settings`` (those of this package), ``forks`` (of the
process), ``launchers`` (of many processes), ``unfinished`` (what an interruption leaves),
``compiler_options`` (of XLA), ``platforms`` (of programs), ``program_cache`` (of compiled programs),
``cached_properties`` (of objects) and ``parameters`` (nested dicts, bound to Flax modules).

Then come the interfaces through which the packages above work together without importing each other:
``encoded_volume`` (the result of ``encode_volume``), ``chunk_interfaces`` (one chunk to bytes and back) and
``model`` (any kind of model). Read ``shapes`` and ``chunk_grid``, then these three in that order.
"""

from typing import TYPE_CHECKING

from nvc_jax.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from nvc_jax.core.choices import DEFAULT_MODEL, MODES, check_mode
    from nvc_jax.core.chunk_grid import ChunkIndex, Region
    from nvc_jax.core.chunk_interfaces import (
        ChunkDecoder,
        ChunkEncoder,
        ChunkFormat,
        ChunkTarget,
        HaloChunkDecoder,
        QualityTarget,
        ValueRange,
    )
    from nvc_jax.core.dtypes import DEVICE_DTYPES, DTYPES, check_device_dtype, check_dtype
    from nvc_jax.core.encoded_volume import EncodedVolume
    from nvc_jax.core.errors import largest_error, psnr_from_errors, squared_errors
    from nvc_jax.core.model import Model, ModelConfig
    from nvc_jax.core.normalization import denormalize, finite_range, normalize
    from nvc_jax.core.parameters import Params, merge_params
    from nvc_jax.core.shapes import Shape, Shape3, check_array_shape, check_shape, grid_shape

__all__ = [
    "DEFAULT_MODEL",
    "DEVICE_DTYPES",
    "DTYPES",
    "MODES",
    "ChunkDecoder",
    "ChunkEncoder",
    "ChunkFormat",
    "ChunkIndex",
    "ChunkTarget",
    "EncodedVolume",
    "HaloChunkDecoder",
    "Model",
    "ModelConfig",
    "Params",
    "QualityTarget",
    "Region",
    "Shape",
    "Shape3",
    "ValueRange",
    "check_array_shape",
    "check_device_dtype",
    "check_dtype",
    "check_mode",
    "check_shape",
    "denormalize",
    "finite_range",
    "grid_shape",
    "largest_error",
    "merge_params",
    "normalize",
    "psnr_from_errors",
    "squared_errors",
]

_NAMES = {
    "choices": "DEFAULT_MODEL MODES check_mode",
    "chunk_grid": "ChunkIndex Region",
    "chunk_interfaces": (
        "ChunkDecoder ChunkEncoder ChunkFormat ChunkTarget HaloChunkDecoder QualityTarget ValueRange"
    ),
    "dtypes": "DEVICE_DTYPES DTYPES check_device_dtype check_dtype",
    "encoded_volume": "EncodedVolume",
    "errors": "largest_error psnr_from_errors squared_errors",
    "model": "Model ModelConfig",
    "normalization": "denormalize finite_range normalize",
    "parameters": "Params merge_params",
    "shapes": "Shape Shape3 check_array_shape check_shape grid_shape",
}
"""Names that each module has."""

__getattr__, __dir__ = lazy_exports(__name__, _NAMES)
