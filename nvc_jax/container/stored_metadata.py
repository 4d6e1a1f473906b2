"""Metadata of a container that are read from where it is stored."""

import tensorstore as ts

from nvc_jax.container.images import find_levels
from nvc_jax.container.metadata import METADATA_KEY, ContainerMetadata, FormatError
from nvc_jax.core.json_documents import MAX_BYTES, read_json
from nvc_jax.io.locations import read_key

READ_ERRORS = (ValueError, OSError, IndexError, KeyError, NotImplementedError)
"""Errors of TensorStore where something cannot be read."""


def read_metadata_at(objects: ts.KvStore, key: str) -> ContainerMetadata | None:
    """Read a container's metadata from a key; None where there is no such key.

    Raises:
        FormatError: the metadata cannot be read, or are not those of a container.
    """
    try:
        text = read_key(objects, key, MAX_BYTES)
    except READ_ERRORS as error:
        raise FormatError(f"its metadata cannot be read: {error}") from error
    if text is None:
        return None
    try:
        document = read_json(text)
    except ValueError as error:
        raise FormatError(f"it is no readable Zarr v3 array: {error}") from error
    return ContainerMetadata.from_json(document)


def read_finest(objects: ts.KvStore) -> tuple[ts.KvStore, ContainerMetadata | None]:
    """Read the metadata of a container, or of the finest level of an image; with the keys below it."""
    try:
        return objects, read_metadata_at(objects, METADATA_KEY)
    except FormatError:
        if not (levels := find_levels(objects)):
            raise
    return (finest := objects / f"{levels[0]}/"), read_metadata_at(finest, METADATA_KEY)
