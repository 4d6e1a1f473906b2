"""The encoded volume of nvc-1 and its bytes."""

import dataclasses
import functools
import math
import struct
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.entropy.interleaving import read_words, used_words
from nvc_jax.spectral.bitstream import (
    stream_capacity,
)
from nvc_jax.spectral.dc_prediction import DC_PREDICTORS
from nvc_jax.transform import lapped_filter
from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS
from nvc_jax.transform.boundary_emphasis import ALL_BOUNDARIES

MIN_STEP, MAX_STEP = 2.0**-15, 2.0
"""Limits of the step, relative to the volume's range: integers stay within what the entropy coder takes."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        *("words", "used", "n_lanes", "minimum", "maximum", "step"),
        *("filter_index", "predictor", "profile", "valid_shape", "boundaries"),
    ],
    meta_fields=["shape", "dtype"],
)
@dataclasses.dataclass(frozen=True)
class EncodedStream:
    """A volume as an entropy-coded stream; a pytree with a static shape and dtype.

    Attributes:
        words: uint16 (capacity,), the stream in a buffer of static size.
        used: int32, how many of the words are in use.
        n_lanes: int32, lanes of the stream.
        minimum, maximum: the volume's finite range, float32.
        step: of the quantiser, float32, relative to the range.
        filter_index: int32, of ``transform.FILTERS``.
        predictor: int32, of the block means' predictors.
        profile: int32, of the model's: see ``profiles``.
        valid_shape: int32 (3,), voxels along z, y, x that were encoded; what lies beyond is arbitrary.
        boundaries: int32, those at which the volume meets others: see ``boundaries``.
        shape: (z, y, x) of the volume.
        dtype: name of the volume's dtype.
    """

    words: jax.Array
    used: jax.Array
    n_lanes: jax.Array
    minimum: jax.Array
    maximum: jax.Array
    step: jax.Array
    filter_index: jax.Array
    predictor: jax.Array
    profile: jax.Array
    valid_shape: jax.Array
    boundaries: jax.Array
    shape: Shape3
    dtype: str


_HEAD = struct.Struct("<IIBBBB")


def to_bytes(encoded: EncodedStream) -> bytes:
    """The stream and what is needed to decode it, but for range, step, shape and dtype."""
    used, n_lanes = int(encoded.used), int(encoded.n_lanes)
    choices = (encoded.filter_index, encoded.predictor, encoded.boundaries, encoded.profile)
    head = _HEAD.pack(used, n_lanes, *map(int, choices))
    return head + used_words(encoded.words, used)


def from_bytes(
    payload: bytes,
    shape: Shape3,
    dtype: str,
    minimum: float,
    maximum: float,
    step: float,
    valid_shape: Shape3 | None = None,
    *,
    n_profiles: int,
) -> EncodedStream:
    """The inverse of ``to_bytes``, of a model of so many profiles.

    Raises:
        ValueError: the payload cannot be of such a volume.
    """
    n_blocks = math.prod(grid_shape(shape, BLOCK_SIZE))
    if len(payload) < _HEAD.size:
        raise ValueError(f"a payload of {len(payload)} bytes lacks its head of {_HEAD.size}")
    used, n_lanes, filter_index, predictor, boundaries, profile = _HEAD.unpack_from(payload)
    is_known = (
        filter_index < len(lapped_filter.FILTERS)
        and predictor < len(DC_PREDICTORS)
        and boundaries <= ALL_BOUNDARIES
    )
    if not is_known or profile >= n_profiles:
        raise ValueError(
            f"a payload's head names filter {filter_index}, predictor {predictor}, boundaries {boundaries:#b}, "
            f"profile {profile} of {n_profiles}"
        )
    capacity = stream_capacity(n_blocks, N_COEFFICIENTS)
    words = read_words(payload, _HEAD.size, used, n_lanes, n_blocks, capacity)
    # NumPy's numbers, not JAX's: each of those is a call of the device.
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
