"""The model that a container was encoded with."""

from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.models.checkpoints import extract_model
from nvc_jax.models.codec import Codec, load_codec


def load_model(header: ContainerMetadata) -> Codec:
    """The codec that encoded a container: embedded, or shipped with the package.

    Raises:
        FileNotFoundError: neither is there.
        FormatError: the embedded model is damaged or not the one that the header names.
    """
    if header.embedded is None:
        return load_codec(header.sha256)
    try:
        return Codec(*extract_model(header.embedded, header.sha256))
    except ValueError as error:
        raise FormatError(str(error)) from error
