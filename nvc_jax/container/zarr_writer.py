"""Chunks that zarr-python writes: the metadata that its codec states, and the encoder.

zarr-python hands a codec one chunk after another, and never the volume. So a container of this kind knows
neither the range of its values nor a fingerprint of its source: it states the ends of its dtype, and random
digits that tell it from other containers. Targets that are relative to the range are not possible.
"""

import functools
import json
import math
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

from nvc_jax.container.chunk_checksum import seal_chunk
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.core.chunk_grid import MAX_CHUNK_VOXELS, ChunkIndex, chunk_valid_shape, full_region
from nvc_jax.core.chunk_interfaces import NO_LIMITS, ChunkTarget
from nvc_jax.core.dtypes import (
    as_number,
    cast_values,
    check_dtype,
    float_limits,
    integer_limits,
    is_float,
    is_long_integer,
)
from nvc_jax.core.jax_settings import in_own_settings
from nvc_jax.core.shapes import check_array_shape
from nvc_jax.core.spatial_axes import count_steps, padded_shape, spatial_axes, spatial_shape
from nvc_jax.io.arrays import open_array
from nvc_jax.io.declared_values import read_declared_values
from nvc_jax.models.checkpoints import FEWEST_DIGITS
from nvc_jax.models.codec import Codec, load_shared
from nvc_jax.models.identity import model_sha256

_TARGETS = ("max_error", "lossless")
"""Targets that chunks keep without knowledge of the volume."""
_CACHED_ENCODERS = 16
"""Arrays whose encoders are kept."""


def is_begun(configuration: str) -> bool:
    """Tell whether a configuration holds only the options of ``zarr_codec``."""
    return "id" not in json.loads(configuration)


def with_fill_value(configuration: str, fill_value: Any) -> str:
    """Add the fill value of Zarr's array to the missing values of a begun configuration, unless it is 0."""
    options, value = json.loads(configuration), np.asarray(fill_value)
    number = as_number(value.item()) if value.dtype.kind in "iuf" else 0
    if number != 0 and math.isfinite(number) and number not in options["fill_values"]:
        options["fill_values"].append(number)
    return json.dumps(options)


def complete_configuration(
    configuration: str, shape: tuple[int, ...], chunk: tuple[int, ...], dtype: np.dtype
) -> str:
    """State the configuration of a new container.

    Args:
        configuration: JSON of the options.
        shape: of the volume.
        chunk: voxels of a chunk along each axis.
        dtype: of the volume.

    Raises:
        TypeError: the dtype is not supported.
        ValueError: the array does not have two to five axes, or has chunks that the model does not take.
    """
    options, codec = json.loads(configuration), load_shared(DEFAULT_MODEL)
    check_dtype(dtype, "data_type")
    sides, chunk_sides = check_array_shape(shape, "shape"), check_array_shape(chunk, "chunks")
    block_size = codec.config.block_size
    axes, n_steps = spatial_axes(chunk_sides), count_steps(chunk_sides, chunk_sides)
    coded = padded_shape(spatial_shape(chunk_sides, chunk_sides), block_size)
    if any(side % block_size for side in coded) or n_steps * math.prod(coded) > MAX_CHUNK_VOXELS:
        fitting = tuple(
            block_size * math.ceil(side / block_size) if axis in axes else side
            for axis, side in enumerate(chunk)
        )
        raise ValueError(
            f"`chunks` (={chunk}) must have sides that are multiples of {block_size}, or 1, and at most "
            f"{MAX_CHUNK_VOXELS} voxels: pass them, such as `chunks={fitting}`"
        )
    missing_values = cast_values(options.pop("fill_values"), dtype)
    target = {"lossless": True} if dtype.kind == "b" else options
    low, high = _ends(dtype)
    metadata = ContainerMetadata(
        shape=sides,
        dtype=dtype.name,
        chunk=chunk_sides,
        model=None,
        sha256=model_sha256(codec.config, codec.params)[:FEWEST_DIGITS],
        target=target,
        minimum=low,
        maximum=high,
        missing_values=missing_values,
        max_error=float(target.get("max_error", 0.0)),
        fingerprint=1 + secrets.randbelow(2**32 - 1),
    )
    return json.dumps(metadata.configuration())


def _ends(dtype: np.dtype) -> tuple[float, float]:
    """Smallest and largest finite value of a dtype."""
    if is_float(dtype):
        return float_limits(dtype)[:2]
    low, high = integer_limits(dtype)
    return (low, high) if is_long_integer(dtype) else (float(low), float(high))


def check_declared(attributes: Mapping[str, Any], metadata: ContainerMetadata) -> None:
    """Raise ``ValueError`` if an array's attributes declare missing values that the codec does not know.

    A lossless container restores them anyway.
    """
    if metadata.max_error == 0:
        return
    declared = read_declared_values(attributes, (), np.dtype(metadata.dtype))
    unknown = [value for value in declared.missing_values if value not in metadata.missing_values]
    if unknown:
        raise ValueError(
            f"the attributes of the array declare the missing values {unknown}, which the codec would not "
            f"keep exactly: pass `missing_values={unknown}` to `nvc_jax.zarr_codec`, or use "
            "`nvc_jax.compress`"
        )
    if declared.valid_limits != NO_LIMITS:
        raise ValueError(
            f"the attributes of the array declare the limits {declared.valid_limits} of valid values, which "
            "the codec would not keep exactly: use `nvc_jax.compress`, or `nvc_jax.zarr_codec(lossless=True)`"
        )


class ChunkWriter:
    """Encodes the chunks of one container, each by itself.

    Args:
        metadata: of the container.

    Raises:
        NotImplementedError: ``compress`` wrote the container, and knew more of its volume.
    """

    def __init__(self, metadata: ContainerMetadata) -> None:
        is_open = (metadata.minimum, metadata.maximum) == _ends(np.dtype(metadata.dtype))
        if not is_open or next(iter(metadata.target)) not in _TARGETS:
            raise NotImplementedError(
                "chunks of this container are written by `nvc_jax.compress`, which has read the whole "
                "volume: compress the changed volume anew, or make an array by `nvc_jax.zarr_codec`"
            )
        self._metadata = metadata
        self._codec: Codec = load_shared(DEFAULT_MODEL)
        self._target: ChunkTarget | None = None

    @in_own_settings
    def encode(self, values: np.ndarray, index: ChunkIndex) -> bytes:
        """Encode a chunk and append its checksum.

        Args:
            values: voxels of the chunk; those beyond the volume are left out.
            index: of the chunk.
        """
        metadata = self._metadata
        valid_shape = chunk_valid_shape(index, metadata.chunk, metadata.shape)
        volume = open_array(np.ascontiguousarray(values[full_region(valid_shape)]), "chunk")
        codec = self._codec
        encoder = codec.model.chunk_encoder(codec.params, volume, metadata.chunk, metadata.value_range)
        # The step under a bound is found by the first chunk; another one changes the size by a few per cent.
        target = self._target = self._target or encoder.resolve(metadata.target)
        payload = encoder.encode(full_region(valid_shape), target)
        return seal_chunk(payload, metadata.identity, index, metadata.chunk_grid)


@functools.lru_cache(maxsize=_CACHED_ENCODERS)
def writer_of(configuration: str, chunk: tuple[int, ...], dtype: str) -> ChunkWriter:
    """Make the encoder of an array's chunks, or return the one that was made before."""
    metadata = ContainerMetadata.from_configuration(json.loads(configuration), list(chunk), dtype)
    return ChunkWriter(metadata)
