"""The model that a container was encoded with, and the decoder of its chunks."""

from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.core.chunk_interfaces import ChunkDecoder
from nvc_jax.models.codec import Codec, load_codec
from nvc_jax.models.embedded import extract_model


def load_model(metadata: ContainerMetadata) -> Codec:
    """Load the codec that encoded a container: embedded, or shipped with the package.

    Raises:
        FileNotFoundError: the model is neither embedded nor shipped.
        FormatError: the embedded model is damaged or not the one that the metadata name.
    """
    if metadata.embedded is None:
        return load_codec(metadata.sha256)
    try:
        return Codec(*extract_model(metadata.embedded, metadata.sha256))
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
    if any(side % codec.config.block_size for side in metadata.chunk):
        raise FormatError(f"its chunks {metadata.chunk} are no multiples of its model's blocks")
    try:
        return codec.model.chunk_decoder(codec.params, metadata.chunk_format, mode)
    except ValueError as error:
        raise FormatError(f"it holds what its model does not decode: {error}") from error
