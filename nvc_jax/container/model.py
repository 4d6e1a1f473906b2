"""The model that a container was encoded with, and the decoder of its chunks."""

import math

from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.core.chunk_grid import MAX_CHUNK_VOXELS
from nvc_jax.core.chunk_interfaces import ChunkDecoder
from nvc_jax.core.spatial_axes import padded_shape
from nvc_jax.models.checkpoints import find_shipped, shipped_models, stated_sha256
from nvc_jax.models.codec import Codec, load_shipped
from nvc_jax.models.embedded import extract_model


def describe_model(metadata: ContainerMetadata) -> tuple[str, str]:
    """Name of a container's model, and its SHA-256: of a shipped model all digits, without loading it."""
    path = find_shipped(metadata.sha256) if metadata.embedded is None else None
    if path is None:
        return metadata.model or "unknown", metadata.sha256
    return path.name, stated_sha256(path)


def load_model(metadata: ContainerMetadata) -> Codec:
    """Load the codec that encoded a container: embedded, or shipped with the package.

    Raises:
        FileNotFoundError: the model is neither embedded nor shipped.
        FormatError: the embedded model is damaged or not the one that the metadata name.
    """
    try:
        if metadata.embedded is not None:
            return Codec(*extract_model(metadata.embedded, metadata.sha256))
        path = find_shipped(metadata.sha256)
        if path is None:
            raise FileNotFoundError(
                f"the model of SHA-256 {metadata.sha256} is neither embedded nor a shipped model "
                f"({', '.join(shipped_models()) or 'none'}): install the nvc_jax that wrote the container"
            )
        return load_shipped(path, stated_sha256(path))
    except ValueError as error:
        raise FormatError(str(error)) from error


def make_decoder(metadata: ContainerMetadata, mode: str) -> ChunkDecoder:
    """Load a container's model and make the decoder of its chunks.

    Args:
        metadata: of the container.
        mode: ``"crop"`` or ``"blend"``; see ``decode_volume``.

    Raises:
        FileNotFoundError: the model is neither embedded nor shipped.
        FormatError: the metadata contradict the model, or the embedded model is damaged.
    """
    codec = load_model(metadata)
    block_size = codec.config.block_size
    if any(side > 1 and side % block_size for side in metadata.spatial_chunk):
        raise FormatError(f"its chunks {metadata.chunk} are no multiples of its model's blocks")
    if metadata.n_steps > 1 and not codec.model.takes_steps:
        raise FormatError(f"its chunks {metadata.chunk} hold several steps, which its model does not decode")
    n_voxels = metadata.n_steps * math.prod(padded_shape(metadata.spatial_chunk, block_size))
    if n_voxels > MAX_CHUNK_VOXELS:
        raise FormatError(f"its chunks {metadata.chunk}, in blocks, have more than {MAX_CHUNK_VOXELS} voxels")
    try:
        return codec.model.chunk_decoder(codec.params, metadata.chunk_format, mode)
    except ValueError as error:
        raise FormatError(f"it holds what its model does not decode: {error}") from error
