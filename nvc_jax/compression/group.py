"""A volume as a variable of a new Zarr group, with its coordinates beside it, as xarray opens it.

The group appears under its name when all of it is there.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvc_jax.compression.result import CompressionResult
from nvc_jax.io.atomic import naming, naming_for, replacing
from nvc_jax.io.volume_view import with_metadata
from nvc_jax.io.volumes import open_volume, read_metadata
from nvc_jax.io.zarr_group import check_variable, create_coordinates, variable_metadata


def compress_variable(
    compress_array: Callable[..., CompressionResult],
    source: Any,
    path: Path,
    name: str,
    *,
    overwrite: bool = False,
) -> CompressionResult:
    """Compress a volume into a new group.

    Args:
        compress_array: compresses a source to a destination.
        source: the volume.
        path: of the group.
        name: of the variable.
        overwrite: whether a file or Zarr array that lies at ``path`` is replaced.

    Raises:
        ValueError: an axis has the name of the variable.
    """
    volume, metadata = open_volume(source), read_metadata(source)
    check_variable(name, metadata, volume.rank)
    with replacing(path, overwrite=overwrite) as partial:
        with naming(path):
            names = create_coordinates(partial, volume.shape, metadata)
        variable = with_metadata(volume, variable_metadata(metadata, names))
        with naming_for(partial, path):
            result = compress_array(variable, partial / name)
    return dataclasses.replace(result, location=path / name)
