"""The encoded volume of nvc-1: a pytree of device arrays, and its bytes."""

import dataclasses
import functools
import math
from typing import Any

import jax
import numpy as np

from nvc_jax.core.encoded_volume import EncodedVolume
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.entropy.interleaving import max_lanes_for
from nvc_jax.entropy.word_stream import WordStream, fetch_words, words_from_bytes, words_to_bytes
from nvc_jax.spectral.bitstream import stream_capacity
from nvc_jax.spectral.dc_prediction import DC_PREDICTORS
from nvc_jax.spectral.filter_setting import MAX_NOISE, MAX_STRENGTH, FilterSetting
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import TransformShape

MIN_STEP, MAX_STEP = 2.0**-15, 2.0
"""Limits of the step, relative to the volume's range: within them the entropy coder can code all integers."""

_FIXED_BYTES = 4
"""First bytes of a header: one for each axis, and the profile. If the model has a filter, two bytes for it
follow; then comes the number of lanes."""
_FILTER_BYTES = 2
_FILTER_SHIFT, _BOUNDARY_SHIFT, _PREDICTION_SHIFT = 3, 5, 7
"""Lowest bits, in the byte of an axis, of the filter, of the two boundaries and of the DC predictor, which
says whether differences are taken along the axis; the length of segments is below them."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        *("stream", "minimum", "maximum", "step"),
        *("transform", "predictor", "profile", "valid_shape", "boundaries", "filter_setting"),
    ],
    meta_fields=["shape", "dtype"],
)
@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedStream(EncodedVolume):
    """A volume as an entropy-coded stream.

    Attributes:
        stream: the words, in a buffer of static size.
        step: float32, of the quantiser, relative to the range.
        transform: shape of the transform.
        predictor: int32, of ``dc_prediction.DC_PREDICTORS``.
        profile: int32, of the model: see ``profiles``.
        valid_shape: int32 (3,), voxels along z, y, x that were encoded; decoded voxels beyond are arbitrary.
        boundaries: int32, boundaries at which the volume meets other chunks: see ``boundary_emphasis``.
        filter_setting: of the model's filter; None if it has none.
    """

    stream: WordStream
    step: jax.Array
    transform: TransformShape
    predictor: jax.Array
    profile: jax.Array
    valid_shape: jax.Array
    boundaries: jax.Array
    filter_setting: FilterSetting | None = None

    @property
    def used_bytes(self) -> jax.Array:
        """Bytes of the stream that are in use, int32."""
        return self.stream.stored_bytes


def to_bytes(encoded: EncodedStream) -> bytes:
    """Serialise a stream; range, step, shape and dtype are left to the caller."""
    lengths, filters = (np.asarray(indices).tolist() for indices in encoded.transform)
    predicted_axes, boundaries = DC_PREDICTORS[int(encoded.predictor)], int(encoded.boundaries)
    header = bytearray()
    for axis, (length, filter_index) in enumerate(zip(lengths, filters, strict=True)):
        ends = boundaries >> 2 * axis & 3
        is_predicted = axis in predicted_axes
        header.append(
            length
            | filter_index << _FILTER_SHIFT
            | ends << _BOUNDARY_SHIFT
            | is_predicted << _PREDICTION_SHIFT
        )
    header.append(int(encoded.profile))
    if encoded.filter_setting is not None:
        header += bytes(int(number) for number in encoded.filter_setting)
    return bytes(header) + encode_varints(int(encoded.stream.n_lanes)) + words_to_bytes(encoded.stream)


def fetch_batch(encoded: EncodedStream) -> list[EncodedStream]:
    """Get several streams from the device, as NumPy arrays; of their words those in use.

    Args:
        encoded: streams, with a first axis in all arrays.
    """
    stream = encoded.stream
    without_words = dataclasses.replace(encoded, stream=stream._replace(words=stream.n_lanes))
    fetched: EncodedStream = jax.device_get(without_words)
    used = int(fetched.stream.group_words.sum(axis=-1).max())
    words: Any = fetch_words(stream.words, used)
    whole = dataclasses.replace(fetched, stream=fetched.stream._replace(words=words))
    return [jax.tree.map(lambda leaf, i=i: leaf[i], whole) for i in range(len(words))]


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
    has_filter: bool = False,
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
        has_filter: whether the model has a filter.

    Raises:
        ValueError: the bytes cannot be of such a volume and such a model.
    """
    n_blocks = math.prod(grid_shape(shape, BLOCK_SIZE))
    start = _FIXED_BYTES + _FILTER_BYTES * has_filter
    if len(stored) <= start:
        raise ValueError(f"a stream of {len(stored)} bytes lacks its header")
    *axes, profile = stored[:_FIXED_BYTES]
    lengths = [byte & (1 << _FILTER_SHIFT) - 1 for byte in axes]
    filters = [byte >> _FILTER_SHIFT & 3 for byte in axes]
    boundaries = sum((byte >> _BOUNDARY_SHIFT & 3) << 2 * axis for axis, byte in enumerate(axes))
    predictor = DC_PREDICTORS.index(tuple(axis for axis in range(3) if axes[axis] >> _PREDICTION_SHIFT))
    if max(lengths) >= len(SEGMENT_LENGTHS) or profile >= n_profiles:
        raise ValueError(f"a stream's header states lengths {lengths}, profile {profile} of {n_profiles}")
    setting = _read_setting(*stored[_FIXED_BYTES:start]) if has_filter else None
    (n_lanes,), start = decode_varints(stored, 1, start)
    capacity = stream_capacity(n_blocks, N_COEFFICIENTS)
    stream = words_from_bytes(stored[start:], n_lanes, max_lanes_for(n_blocks), capacity)
    # NumPy scalars and arrays: each of JAX would cost a call of the device.
    indices: list[Any] = [np.array(lengths, np.int32), np.array(filters, np.int32)]
    numbers: dict[str, Any] = {
        "minimum": np.float32(minimum),
        "maximum": np.float32(maximum),
        "step": np.float32(step),
        "transform": TransformShape(*indices),
        "predictor": np.int32(predictor),
        "profile": np.int32(profile),
        "boundaries": np.int32(boundaries),
        "valid_shape": np.array(shape if valid_shape is None else valid_shape, np.int32),
    }
    return EncodedStream(stream=stream, shape=shape, dtype=dtype, filter_setting=setting, **numbers)


def _read_setting(noise: int, strength: int) -> FilterSetting:
    """Read the setting of a filter from its two bytes."""
    if noise > MAX_NOISE or strength > MAX_STRENGTH:
        raise ValueError(f"a stream's header states the filter setting {noise}, {strength}")
    numbers: list[Any] = [np.int32(noise), np.int32(strength)]
    return FilterSetting(*numbers)
