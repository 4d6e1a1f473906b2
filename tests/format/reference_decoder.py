"""Decoder of nvc payloads in plain NumPy, written from ``FORMAT.md`` alone: slow, to be read beside it.

Each function carries out the section of ``FORMAT.md`` whose number precedes it; names are those of that
text. The modules ``reference_*`` share no code with the package. They compute in float64, and raise
``FormatError`` where section 16 says that a reader must reject a payload. Read this module first, then
``reference_streams``, ``reference_integers``, ``reference_spectral`` and ``reference_transform``. Bodies of
block autoencoders are in ``reference_autoencoder``, models in ``reference_model``.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from reference_common import (
    LONG_DTYPES,
    Shape,
    clip_to,
    decompress,
    float_limits,
    is_float,
    require,
    round_to,
    take_quantization,
    take_varints,
    unpack,
)
from reference_integers import decode_coded_integers, decode_sparse_integers
from reference_labels import decode_labels
from reference_lattice import decode_lattice, decode_lattice_body
from reference_logarithms import parse_logarithms, to_values
from reference_spectral import WIDE_DTYPES, decode_spectral
from reference_steps import WEIGHTS_BYTES, predict, take_weights

PACKED, CONSTANT, DIFFERENCES, UNIFORM, SPECTRAL, LATENTS, LEVELS, LATTICE, RANKS, LOGARITHMS = range(10)
STEPS, PREDICTED = 10, 11
"""Kinds of payloads."""
BLOCK_SIZE = 8
"""Block size of spectral models."""

# 6 Payload


class Payload(NamedTuple):
    """The header and the sections of a payload."""

    kind: int
    valid_shape: Shape
    max_error: float
    body: bytes
    special_values: bytes
    correction: bytes


def parse_payload(payload: bytes, whole_shape: Shape) -> Payload:
    """Take a payload, without its checksum, apart."""
    require(len(payload) > 0, "a payload is empty")
    kind, flags, start = payload[0] & 15, payload[0] >> 4, 1
    require(kind <= PREDICTED, "a payload states an unknown kind")
    valid_shape, max_error, lengths = tuple(whole_shape), 0.0, []
    if flags & 1:
        sides, start = take_varints(payload, 3, start)
        is_within = all(1 <= side <= most for side, most in zip(sides, whole_shape, strict=True))
        require(
            is_within and tuple(sides) != valid_shape, "a payload states a valid shape that it cannot have"
        )
        valid_shape = tuple(sides)
    if flags & 2:
        (max_error,) = unpack("<d", payload, start)
        require(0 < max_error < math.inf, "a payload states a largest error that it cannot have")
        start += 8
    for is_stated in (flags & 4, flags & 8):
        length = [0]
        if is_stated:
            length, start = take_varints(payload, 1, start)
            require(length[0] > 0, "a payload states an empty section")
        lengths += length
    special_end = start + lengths[0]
    body_start = special_end + lengths[1]
    require(body_start <= len(payload), "the sections of a payload are longer than the payload")
    body, correction = payload[body_start:], payload[special_end:body_start]
    return Payload(kind, valid_shape, max_error, body, payload[start:special_end], correction)


def decode(
    payload: bytes,
    whole_shape: Shape,
    dtype: np.dtype,
    params: Any,
    configuration: dict[str, Any] | None = None,
    n_steps: int = 1,
) -> np.ndarray:
    """Decode the payload of a chunk.

    Args:
        payload: without its checksum.
        whole_shape: (z, y, x), the spatial shape of whole chunks.
        dtype: data type of the container.
        params: of the spectral model, nested dicts of arrays.
        configuration: of the codec `nvc`; None for a payload without a container, whose values have no range.
        n_steps: steps of whole chunks; 1 for chunks without a step axis.

    Returns:
        The chunk's values that lie in the volume, in front of z, y and x an axis of steps if there is one.
    """
    if dtype == np.bool_:
        values = decode(payload, whole_shape, np.dtype(np.uint8), params, configuration, n_steps)
        require(values.max() <= 1, "a value of bool is not 0 or 1")
        return values.astype(np.bool_)
    parts = parse_payload(payload, whole_shape)
    padded_shape = tuple(BLOCK_SIZE if side == 1 else side for side in whole_shape)
    steps, before, decoded = [parts] if n_steps == 1 else split_steps(parts, n_steps), None, []
    for step in steps:
        before = decode_body(step, padded_shape, dtype, params, before)
        values = keep_rules(before.copy(), configuration or {})
        decoded.append(put_special_values(values, step.special_values, padded_shape))
    return decoded[0] if n_steps == 1 else np.stack(decoded)


def decode_body(
    parts: Payload, padded_shape: Shape, dtype: np.dtype, params: Any, before: np.ndarray | None = None
) -> np.ndarray:
    """Decode the body, perhaps predicted from that of the step before, and apply the correction."""
    body, valid_shape = parts.body, parts.valid_shape
    if parts.kind == PACKED:
        return decode_packed(body, dtype, valid_shape)
    if parts.kind == CONSTANT:
        return decode_constant(body, dtype, valid_shape)
    if parts.kind == DIFFERENCES:
        return decode_differences(body, dtype, valid_shape, padded_shape)
    if parts.kind == UNIFORM:
        return decode_uniform(body, dtype, valid_shape, padded_shape)
    if parts.kind == LEVELS:
        return decode_levels(body, dtype, valid_shape, padded_shape)
    if parts.kind == LATTICE:
        return decode_lattice_body(body, dtype, valid_shape, padded_shape)
    if parts.kind == RANKS:
        return decode_ranks(body, dtype, valid_shape, padded_shape)
    if parts.kind == LOGARITHMS:
        return decode_logarithms(body, dtype, valid_shape, padded_shape, params)
    if parts.kind == PREDICTED:
        require(before is not None, "there is no step to predict from")
        return decode_predicted(parts, padded_shape, dtype, params, before)
    require(parts.kind == SPECTRAL, "a payload of a spectral model holds latents, or steps where it cannot")
    if dtype in LONG_DTYPES:
        low, high = np.frombuffer(body, dtype.newbyteorder("<"), 2).tolist()
        require(low < high < low + 2**53, "a range is not ordered, or too wide")
        relative = np.array([0, high - low], "<i8").tobytes() + body[16:]
        offsets = decode_transformed(parts._replace(body=relative), padded_shape, np.dtype(np.int64), params)
        return clip_to(offsets.astype(object) + low, dtype)
    return decode_transformed(parts, padded_shape, dtype, params)


def decode_transformed(parts: Payload, padded_shape: Shape, dtype: np.dtype, params: Any) -> np.ndarray:
    """Decode a spectral body, correct and round it (8, 14)."""
    unrounded = decode_spectral(parts.body, dtype, parts.valid_shape, padded_shape, params)
    if parts.correction:
        return apply_correction(unrounded, parts.correction, dtype)
    return round_to(unrounded, dtype)


def decode_predicted(
    parts: Payload, padded_shape: Shape, dtype: np.dtype, params: Any, before: np.ndarray
) -> np.ndarray:
    """Decode a predicted body, correct and round it (8, 14.13)."""
    require(dtype not in WIDE_DTYPES, "a predicted step has a data type that it cannot have")
    predicted = predict(before, take_weights(parts.body), padded_shape)
    body, float32 = parts.body[WEIGHTS_BYTES:], np.dtype(np.float32)
    difference = decode_spectral(body, float32, parts.valid_shape, padded_shape, params)
    unrounded = round_to(predicted + difference, float32)
    if parts.correction:
        return apply_correction(unrounded, parts.correction, dtype)
    return round_to(unrounded, dtype)


# 6.1 Rules of decoded values


def keep_rules(values: np.ndarray, configuration: dict[str, Any]) -> np.ndarray:
    """Keep decoded values within the range, and apart from missing values."""
    if "range" not in configuration:  # payloads by themselves
        return values
    missing_values = configuration.get("fill_values", [])
    low, high = map(values.dtype.type, configuration["range"])
    require(low <= high, "the range is not ordered")
    values = np.where(values < low, low, np.where(values > high, high, values))
    for missing_value in missing_values:
        if low < missing_value < high:
            replacement = next_value(values.dtype.type(missing_value), missing_values, high)
            values = np.where(values == missing_value, replacement, values)
    return values


def next_value(value: np.generic, missing_values: list[float], high: np.generic) -> np.generic:
    """Find the next larger value that is not missing and not subnormal."""
    while value.item() in missing_values:
        if not is_float(value.dtype):
            value = value.dtype.type(int(value) + 1)
            continue
        _, tiny = float_limits(value.dtype)
        value = np.nextafter(value, high)
        if 0 < value < tiny:
            value = min(value.dtype.type(tiny), high)
        elif -tiny < value < 0:
            value = min(value.dtype.type(0), high)
    return value


# 7 Special values


def put_special_values(values: np.ndarray, section: bytes, padded_shape: Shape) -> np.ndarray:
    """Overwrite the values that are stored apart, in place."""
    if not section:
        return values
    (n_patterns, n_exact, n_others), start = take_varints(section, 3)
    size = values.dtype.itemsize
    others_start = start + n_patterns * size
    labels_start = others_start + n_others * size
    require(labels_start <= len(section), "special values are cut short")
    require(n_exact <= n_patterns <= 255, "there are too many patterns or exact values")
    require(n_others <= values.size, "there are too many other values")
    patterns = np.frombuffer(section, f"<u{size}", n_patterns, start)
    others = np.frombuffer(section, f"<u{size}", n_others, others_start)
    labels = decode_labels(section[labels_start:], values.shape, padded_shape).reshape(-1)
    is_other = labels == 255
    require(is_other.sum() == n_others, "the labels of special values do not fit the number of other ones")
    require(labels[~is_other].max(initial=0) <= n_patterns, "a special value has an unknown label")

    bits = values.reshape(-1).view(f"u{size}")
    for label, pattern in enumerate(patterns, 1):
        bits[labels == label] = pattern
    bits[is_other] = others
    return values


# 8 Correction


def apply_correction(unrounded: np.ndarray, section: bytes, dtype: np.dtype) -> np.ndarray:
    """Correct the unrounded values of a spectral body, and round them to the data type."""
    (spacing,) = unpack("<d", section)
    (n_exact,), positions_start = take_varints(section, 1, 8)
    start = positions_start + n_exact * (4 + dtype.itemsize)
    require(math.isfinite(spacing), "the spacing of a correction is not finite")
    require(n_exact <= unrounded.size and start <= len(section), "a correction has too many exact values")
    positions = np.frombuffer(section, "<u4", n_exact, positions_start)
    exact = np.frombuffer(section, dtype.newbyteorder("<"), n_exact, positions_start + 4 * n_exact)
    require(positions.max(initial=0) < unrounded.size, "an exact value lies outside the chunk")

    multiples = decode_sparse_integers(section[start:], unrounded.shape)
    moved = unrounded + spacing * multiples
    if dtype not in WIDE_DTYPES:
        moved = round_to(moved, np.dtype(np.float32))
    values = round_to(moved, dtype)
    values.reshape(-1)[positions] = exact
    return values


# 13 Bodies without a model


def decode_packed(body: bytes, dtype: np.dtype, shape: Shape) -> np.ndarray:
    """Decode values from their bytes (13.1)."""
    n_bytes = math.prod(shape) * dtype.itemsize
    require(len(body) > 0 and body[0] <= 2, "packed values state an unknown method")
    method, packed = ("none", "zstd", "blosc")[body[0]], body[1:]
    data = packed if method == "none" else decompress(method, packed, n_bytes)
    require(len(data) == n_bytes, f"packed values take {len(data)} bytes in place of {n_bytes}")
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def decode_constant(body: bytes, dtype: np.dtype, shape: Shape) -> np.ndarray:
    """Decode a chunk of one value (13.2)."""
    require(len(body) == dtype.itemsize, "a constant is not of the data type's size")
    return np.full(shape, np.frombuffer(body, dtype.newbyteorder("<"))[0], dtype)


def decode_differences(body: bytes, dtype: np.dtype, valid_shape: Shape, padded_shape: Shape) -> np.ndarray:
    """Decode values that are stored without loss as integers (13.3)."""
    return from_integers(decode_coded_integers(body, valid_shape, padded_shape), dtype)


def from_integers(integers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Get the values whose bit patterns are in the order of integers (13.3)."""
    if dtype == np.uint64:
        return integers.astype(np.uint64) ^ np.uint64(2**63)
    if not is_float(dtype):
        return integers.astype(dtype)
    all_but_sign = np.int64(2 ** (8 * dtype.itemsize - 1) - 1)
    patterns = np.where(integers < 0, integers ^ all_but_sign, integers)
    return patterns.astype(f"i{dtype.itemsize}").view(dtype)


def decode_uniform(body: bytes, dtype: np.dtype, valid_shape: Shape, padded_shape: Shape) -> np.ndarray:
    """Decode uniformly quantised values (13.4)."""
    low, spacing, start = take_quantization(body, dtype)
    integers = decode_coded_integers(body[start:], valid_shape, padded_shape)
    if is_float(dtype):
        return round_to(low + integers * spacing, dtype)
    if dtype in LONG_DTYPES:
        return clip_to(integers.astype(object) * spacing + low, dtype)
    limits = np.iinfo(dtype)
    return np.clip(integers * spacing + low, limits.min, limits.max).astype(dtype)


def decode_levels(body: bytes, dtype: np.dtype, valid_shape: Shape, padded_shape: Shape) -> np.ndarray:
    """Decode values from a table and labels (13.5)."""
    n_levels = body[0] if body else 0
    start = 1 + n_levels * dtype.itemsize
    require(n_levels > 0 and start <= len(body), "levels lack their table")
    table = np.frombuffer(body, dtype.newbyteorder("<"), n_levels, 1).astype(dtype)
    labels = decode_labels(body[start:], valid_shape, padded_shape)
    require(bool(labels.max() < n_levels), "a level has an unknown label")
    return table[labels]


def decode_ranks(body: bytes, dtype: np.dtype, valid_shape: Shape, padded_shape: Shape) -> np.ndarray:
    """Decode values from a table and ranks (13.8)."""
    (n_values, n_bytes), start = take_varints(body, 2)
    require(1 <= n_values < 2**20 and start + n_bytes < len(body), "ranks lack their table")
    table = decode_packed(body[start : start + n_bytes], np.dtype(np.uint64), (n_values,))
    lattice = body[start + n_bytes :]
    require(lattice[0] & 7 == 0, "ranks have fraction bits")
    ranks = decode_lattice(lattice, valid_shape, padded_shape)
    require(bool(ranks.min() >= 0 and ranks.max() < n_values), "a rank is beyond the table")
    return from_integers(np.cumsum(table, dtype=np.uint64).view(np.int64)[ranks], dtype)


def decode_logarithms(
    body: bytes, dtype: np.dtype, valid_shape: Shape, padded_shape: Shape, params: Any
) -> np.ndarray:
    """Decode signs and logarithms of magnitudes (13.9)."""
    logarithms = parse_logarithms(body, valid_shape, padded_shape)
    parts = parse_payload(logarithms.integers, valid_shape)
    require(
        parts.kind not in (LATENTS, LOGARITHMS, STEPS, PREDICTED),
        "logarithms are of a kind that they cannot be",
    )
    require(parts.valid_shape == valid_shape, "logarithms are of another shape")
    require(not parts.special_values, "logarithms have special values")
    return to_values(logarithms, decode_body(parts, padded_shape, logarithms.dtype, params), dtype)


def split_steps(parts: Payload, n_steps: int) -> list[Payload]:
    """Take a payload of steps apart (13.10)."""
    require(parts.kind == STEPS, "a chunk with a step axis is not of kind 10")
    require(not parts.special_values and not parts.correction, "steps have sections of their own")
    (n,), start = take_varints(parts.body, 1)
    require(1 <= n <= n_steps, "there are too many steps, or none")
    lengths, start = take_varints(parts.body, n, start)
    require(start + sum(lengths) == len(parts.body), "the payloads of steps have other lengths")
    steps = []
    for length in lengths:
        step = parse_payload(parts.body[start : start + length], parts.valid_shape)
        require(step.kind not in (LATENTS, STEPS), "a step is of a kind that it cannot be")
        require(step.valid_shape == parts.valid_shape, "a step is of another shape")
        steps.append(step)
        start += length
    require(steps[0].kind != PREDICTED, "the first step is predicted")
    return steps
