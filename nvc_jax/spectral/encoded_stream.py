"""The encoded volume of nvc-1: a pytree of device arrays, and its bytes."""

import dataclasses
import functools
import math
import struct
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.encoded_volume import EncodedVolume
from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.entropy.interleaving import read_words, used_words
from nvc_jax.spectral.bitstream import stream_capacity
from nvc_jax.spectral.dc_prediction import DC_PREDICTORS
from nvc_jax.transform import lapped_filter
from nvc_jax.transform.boundary_emphasis import ALL_BOUNDARIES
from nvc_jax.transform.planar_blocks import BLOCK_SIZE, N_COEFFICIENTS

MIN_STEP, MAX_STEP = 2.0**-15, 2.0
"""Limits of the step, relative to the volume's range: within them the entropy coder can code all integers."""

_HEADER = struct.Struct("<IIBBBB")
"""Header of a stream's bytes: number of words in use, lanes, filter, DC predictor, boundaries, profile."""
_WORD_BYTES = 2


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        *("words", "used", "n_lanes", "minimum", "maximum", "step"),
        *("filter_index", "predictor", "profile", "valid_shape", "boundaries"),
    ],
    meta_fields=["shape", "dtype"],
)
@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedStream(EncodedVolume):
    """A volume as an entropy-coded stream.

    Attributes:
        words: uint16 (capacity,), the stream in a buffer of static size.
        used: int32, number of words in use.
        n_lanes: int32, lanes of the stream.
        step: float32, of the quantiser, relative to the range.
        filter_index: int32, of ``lapped_filter.FILTERS``.
        predictor: int32, of ``dc_prediction.DC_PREDICTORS``.
        profile: int32, of the model: see ``profiles``.
        valid_shape: int32 (3,), voxels along z, y, x that were encoded; decoded voxels beyond are arbitrary.
        boundaries: int32, boundaries at which the volume meets other chunks: see ``boundary_emphasis``.
    """

    words: jax.Array
    used: jax.Array
    n_lanes: jax.Array
    step: jax.Array
    filter_index: jax.Array
    predictor: jax.Array
    profile: jax.Array
    valid_shape: jax.Array
    boundaries: jax.Array

    @property
    def used_bytes(self) -> jax.Array:
        """Bytes of the stream that are in use, int32."""
        return _WORD_BYTES * self.used


def to_bytes(encoded: EncodedStream) -> bytes:
    """Serialise a stream; range, step, shape and dtype are left to the caller."""
    used, n_lanes = int(encoded.used), int(encoded.n_lanes)
    choices = (encoded.filter_index, encoded.predictor, encoded.boundaries, encoded.profile)
    header = _HEADER.pack(used, n_lanes, *map(int, choices))
    return header + used_words(encoded.words, used)


def from_bytes(
    stored: bytes,
    shape: Shape3,
    dtype: str,
    minimum: float,
    maximum: float,
    step: float,
    valid_shape: Shape3 | None = None,
    *,
    n_profiles: int,
) -> EncodedStream:
    """Parse the bytes of a stream: the inverse of ``to_bytes``.

    Args:
        stored: from ``to_bytes``.
        shape: (z, y, x) that the stream was encoded for.
        dtype: name of the decoded volume's dtype.
        minimum: value that 0 decodes to.
        maximum: value that 1 decodes to.
        step: of the quantiser, relative to maximum − minimum.
        valid_shape: voxels along z, y, x that were encoded; all by default.
        n_profiles: number of profiles of the model.

    Raises:
        ValueError: the bytes cannot be of such a volume and such a model.
    """
    n_blocks = math.prod(grid_shape(shape, BLOCK_SIZE))
    if len(stored) < _HEADER.size:
        raise ValueError(f"a stream of {len(stored)} bytes lacks its header of {_HEADER.size}")
    used, n_lanes, filter_index, predictor, boundaries, profile = _HEADER.unpack_from(stored)
    is_known = (
        filter_index < len(lapped_filter.FILTERS)
        and predictor < len(DC_PREDICTORS)
        and boundaries <= ALL_BOUNDARIES
    )
    if not is_known or profile >= n_profiles:
        raise ValueError(
            f"a stream's header states filter {filter_index}, predictor {predictor}, "
            f"boundaries {boundaries:#b}, profile {profile} of {n_profiles}"
        )
    capacity = stream_capacity(n_blocks, N_COEFFICIENTS)
    words = read_words(stored, _HEADER.size, used, n_lanes, n_blocks, capacity)
    # NumPy scalars: each JAX scalar would cost a call of the device.
    numbers: dict[str, Any] = {
        "used": np.int32(used),
        "n_lanes": np.int32(n_lanes),
        "minimum": np.float32(minimum),
        "maximum": np.float32(maximum),
        "step": np.float32(step),
        "filter_index": np.int32(filter_index),
        "predictor": np.int32(predictor),
        "profile": np.int32(profile),
        "boundaries": np.int32(boundaries),
        "valid_shape": np.array(shape if valid_shape is None else valid_shape, np.int32),
    }
    return EncodedStream(words=jnp.asarray(words), shape=shape, dtype=dtype, **numbers)
