"""Volumes of any size to containers and back.

Read ``compress`` first, from the top: by way of ``preparation`` it checks its ``options``, the ``layout`` of
chunks and the ``value_options``, and opens the volume; it scans the volume, asks the model's encoder what the
quality target means, and has ``objects`` encode and store the chunks; ``source`` reads the volume for that,
and recognises it in later runs; by ``shared_scan`` several writers read it once between them; ``labels`` says
which volumes are lossless by default; ``result`` describes the container. ``decompress`` writes a container,
or a region of it, to a file, ``view`` opens it as a TensorStore, and ``whole_read`` reads all of it.
``region_metadata`` is what both keep of the source's metadata, and ``progress`` what they report on the way.

``group`` writes a container and its coordinates as a Zarr group; ``pyramid`` an image with levels, which
``coarsening`` makes. ``image_output`` decodes regions, and all levels of an image.

The package reads and writes through ``io`` and ``container``, and encodes through
``core.chunk_interfaces.ChunkEncoder``; it imports no kind of model.
"""

from nvc_jax.compression.compress import compress
from nvc_jax.compression.decompress import decompress
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.compression.result import CompressionResult
from nvc_jax.compression.view import open

__all__ = ["ByteProgress", "CompressionResult", "compress", "decompress", "open"]
