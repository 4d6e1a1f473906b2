"""Volumes of any size to containers and back.

Read ``compress`` first, from the top: it checks its ``options`` and ``value_options``, scans the volume, asks
the model's encoder what the quality target means, and has ``objects`` encode and store the chunks; ``source``
reads the volume for that, and recognises it in later runs; ``labels`` says which volumes are lossless by
default; ``result`` describes the container, and ``job`` holds a call's checked options and what its metadata
are. ``group`` makes a variable of a Zarr group; ``pyramid`` compresses a volume at several resolutions, which
``coarsening`` makes. ``decompress`` writes a container, or a region of it, to a file, ``image_output`` an
image with all its levels; ``view`` opens it as a TensorStore. ``region_metadata`` is what both keep of the
source's metadata, and ``progress`` what they report on the way.

The package reads and writes through ``io`` and ``container``, and encodes through
``core.chunk_interfaces.ChunkEncoder``; it imports no kind of model.
"""

from nvc_jax.compression.compress import compress
from nvc_jax.compression.decompress import decompress
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.compression.result import CompressionResult
from nvc_jax.compression.view import open

__all__ = ["ByteProgress", "CompressionResult", "compress", "decompress", "open"]
