"""Both the package and the reference decoder reject wrong payloads: 16.3 and 16.4 of ``FORMAT.md``.

Payloads here are those of a spectral model; ``test_reference_autoencoder`` has those of block autoencoders.
Metadata (16.1) are tested in ``container/test_metadata`` and ``integration/test_damage``, models (16.2) in
``models/test_embedded`` and ``models/test_registry``, missing objects and checksums in
``container/test_store``.
"""

import re
import struct

import numpy as np
import pytest
from lattice_volumes import code_values
from make_golden import CHUNK, GOLDEN, model_of
from reference_common import FormatError
from reference_decoder import decode

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.payload import Payload, parse_payload
from nvc_jax.chunks.step_codec import make_payload_codec
from nvc_jax.entropy.label_volumes import encode_labels
from nvc_jax.entropy.lorenzo import encode_integers
from nvc_jax.entropy.sparse_integers import encode_sparse
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

PARAMS = nvc_jax.load_codec(model_of("profiles")).params
"""Parameters of the model of all golden containers but those of one quantiser."""
FLOAT32, INT32 = np.dtype("float32"), np.dtype("int32")


def golden_payload(name: str) -> bytes:
    return (GOLDEN / f"1-{name}.zarr" / "c" / "0" / "0" / "0").read_bytes()[:-4]


def replace(section: bytes, offset: int, layout: str, *values: float) -> bytes:
    """Overwrite fields of a section."""
    edited = bytearray(section)
    struct.pack_into(layout, edited, offset, *values)
    return bytes(edited)


def chunk_codec(dtype: np.dtype = FLOAT32) -> ChunkCodec:
    return ChunkCodec(SpectralTransformCoder(PARAMS, CHUNK), CHUNK, dtype)


def reject(payload: bytes, fault: str, dtype: np.dtype = FLOAT32) -> None:
    """Check that both decoders reject a payload, and that the package names the fault."""
    with pytest.raises(FormatError):
        decode(payload, CHUNK, dtype, PARAMS)
    with pytest.raises(ValueError, match=re.escape(fault)):
        chunk_codec(dtype).decode(payload)


def accept(payload: bytes, dtype: np.dtype = FLOAT32) -> np.ndarray:
    """Check that both decoders decode a payload to the same values, and return these."""
    decoded = chunk_codec(dtype).decode(payload)
    np.testing.assert_array_equal(decoded, decode(payload, CHUNK, dtype, PARAMS))
    return decoded


def payload_of(kind: int, body: bytes, special_values: bytes = b"", correction: bytes = b"") -> bytes:
    """Make a payload of 2 × 2 × 2 voxels."""
    return Payload(kind, (2, 2, 2), 0.0, body, special_values, correction).to_bytes(CHUNK)


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"", "0 bytes"),
        (b"\x0a", "kind steps"),  # where chunks have no step axis
        (b"\x0b", "kind predicted"),
        (b"\x0c", "kind 12"),
        (b"\x0f", "kind 15"),
        (b"\x05", "kind latents"),  # kind of a block autoencoder
        (b"\x11\2\2", "cut short"),  # valid shape
        (b"\x11\0\2\2" + bytes(4), "(0, 2, 2) voxels"),
        (b"\x11\2\x11\2" + bytes(4), "(2, 17, 2) voxels"),  # beyond the padded shape
        (b"\x11\x10\x10\x18" + bytes(4), "(16, 16, 24) voxels"),  # the padded shape
        (b"\x11\2\x82\0\2" + bytes(4), "too many bytes"),  # a varint longer than it need be
        (b"\x11\2\2\xff\xff\xff\xff\x10" + bytes(4), "too many bytes"),  # of 33 bits
        (b"\x21" + bytes(7), "8 bytes is cut short"),  # largest error
        (b"\x21" + struct.pack("<d", -1) + bytes(4), "largest error -1.0"),
        (b"\x21" + struct.pack("<d", 0) + bytes(4), "largest error 0.0"),
        (b"\x21" + struct.pack("<d", np.nan) + bytes(4), "largest error nan"),
        (b"\x21" + struct.pack("<d", np.inf) + bytes(4), "largest error inf"),
        (b"\x41\0" + bytes(4), "a section of 0"),  # special values
        (b"\x41\5" + bytes(4), "a section of 5"),
        (b"\x81\5" + bytes(4), "a section of 5"),  # correction
        (b"\xc1\2\3" + bytes(4), "a section of 3"),
    ],
)
def test_wrong_payload_headers_are_rejected(payload: bytes, fault: str) -> None:
    reject(payload, fault)


SPECTRAL_BODY = parse_payload(golden_payload("float32-profiles"), CHUNK).body


def reject_spectral(body: bytes, fault: str) -> None:
    reject(Payload(4, CHUNK, 0.0, body).to_bytes(CHUNK), fault)


@pytest.mark.parametrize(
    ("length", "fault"),
    [
        (0, "0 bytes lacks"),
        (11, "11 bytes lacks"),
        (12, "0 bytes lacks"),
        (16, "4 bytes lacks"),
        (-1, "bytes"),
    ],
)
def test_truncated_spectral_bodies_are_rejected(length: int, fault: str) -> None:
    reject_spectral(SPECTRAL_BODY[:length], fault)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "fault"),
    [
        (0, "<f", -np.inf, "range [-inf, "),  # low
        (4, "<f", np.inf, ", inf]"),  # high
        (4, "<f", -1e9, ", -1000000000.0]"),  # high below low
        (8, "<f", 2.0**-16, "step 1.52587890625e-05"),  # step
        (8, "<f", 2.5, "step 2.5"),  # step
        (8, "<f", np.nan, "step nan"),  # step
        (12, "<B", 0x05, "lengths [5, "),  # length along z
        (14, "<B", 0xFF, "lengths ["),  # length along x
        (15, "<B", 255, "profile 255 of"),  # profile
        (16, "<B", 0, "0 lanes"),  # lanes
        (16, "<B", 7, "7 lanes"),  # lanes: a grid of 2 × 2 × 3 blocks has at most 6
    ],
)
def test_wrong_spectral_headers_are_rejected(offset: int, layout: str, value: float, fault: str) -> None:
    reject_spectral(replace(SPECTRAL_BODY, offset, layout, value), fault)


INTEGERS = encode_integers(np.arange(8).reshape(2, 2, 2), CHUNK)


@pytest.mark.parametrize(
    ("offset", "value", "fault"),
    [
        (0, 6, "predictor 6"),
        (1, 64, "shift 64"),
        (2, 64, "64 low bits"),
        (3, 32, "scale 32"),
        (12, 0, "0 lanes"),
        (12, 33, "33 lanes"),  # 96 cubes may have 48, which are rounded down to a group
        (13, 9, "9 outliers"),
        (13, 8, "cut short"),
    ],
)
def test_wrong_coded_integers_are_rejected(offset: int, value: int, fault: str) -> None:
    reject(payload_of(2, replace(INTEGERS, offset, "<B", value)), fault)


@pytest.mark.parametrize(
    ("length", "fault"),
    [
        *((0, "lack their header"), (11, "lack their header"), (13, "cut short")),
        *((15, "words of 1 bytes"), (16, "words of 2 bytes"), (-1, "contradicts its words")),
    ],
)
def test_truncated_coded_integers_are_rejected(length: int, fault: str) -> None:
    reject(payload_of(2, INTEGERS[:length]), fault)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "fault"),
    [
        (0, "<f", np.nan, "quantisation begins at nan"),  # low
        (4, "<d", 0.0, "spacing of 0.0"),
        (4, "<d", -1.0, "spacing of -1.0"),
        (4, "<d", np.inf, "spacing of inf"),
    ],
)
@pytest.mark.parametrize("kind", [3, 7])
def test_wrong_quantizations_are_rejected(
    kind: int, offset: int, layout: str, value: float, fault: str
) -> None:
    body = struct.pack("<fd", 0.0, 1.0) + INTEGERS
    reject(payload_of(kind, replace(body, offset, layout, value)), fault)
    reject(payload_of(kind, body[:11]), "cut short")


def test_quantizations_of_integers_are_a_value_and_half_the_spacing() -> None:
    integers = encode_integers(np.arange(-4, 4).reshape(2, 2, 2), CHUNK)
    decoded = accept(payload_of(3, struct.pack("<iB", -3, 1) + integers), INT32)
    assert decoded.ravel().tolist() == [3 * i - 3 for i in range(-4, 4)]
    for kind in (3, 7):
        reject(payload_of(kind, struct.pack("<i", -3)), "cut short", INT32)


def with_correction(correction: bytes) -> bytes:
    return Payload(4, CHUNK, 0.0, SPECTRAL_BODY, correction=correction).to_bytes(CHUNK)


SPACING_1 = struct.pack("<d", 1.0)


@pytest.mark.parametrize(
    ("correction", "fault"),
    [
        (SPACING_1[:7], "lacks its header"),
        (SPACING_1, "cut short"),
        (struct.pack("<d", np.nan) + b"\0\0\0\0", "spacing nan"),
        (SPACING_1 + b"\1\0\0\0", "1 exact values"),
        (SPACING_1 + b"\1" + struct.pack("<If", 16 * 16 * 24, 1.0) + b"\0\0\0", "exact value at 6144"),
    ],
)
def test_wrong_corrections_are_rejected(correction: bytes, fault: str) -> None:
    reject(with_correction(correction), fault)


@pytest.mark.parametrize(
    ("sparse", "fault"),
    [
        (b"\0\0\0\0", "sparse integers take 3 bytes of 4"),
        (b"\0\0", "cut short"),
        (b"\x80\x80\x40", "1048576 sparse integers"),  # more than there are voxels
        (b"\1\0\x21\1\4" + bytes(4) + b"\0", "scale"),
        (b"\1\0\1\0\4" + bytes(4) + b"\0", "0 lanes"),
        (b"\1\0\1\1\4" + bytes(3), "cut short"),
        (b"\1\0\1\1\5" + bytes(5) + b"\0", "words of 5 bytes"),
        (b"\1\0\1\1\2" + bytes(2) + b"\0", "words of 2 bytes"),
        (encode_sparse(np.array([16 * 16 * 32 - 1]), np.array([1]), (16, 16, 32)), "lie outside"),
    ],
    ids=["too many bytes", "no sequence", "too many", "scale", "lanes", "cut", "odd", "words", "rank"],
)
def test_wrong_sparse_integers_are_rejected(sparse: bytes, fault: str) -> None:
    reject(with_correction(SPACING_1 + b"\0" + sparse), fault)


def test_a_correction_of_nothing_changes_nothing() -> None:
    corrected = accept_closely(with_correction(SPACING_1 + b"\0\0\0\0"))
    np.testing.assert_array_equal(corrected, chunk_codec().decode(with_correction(b"")))


def accept_closely(payload: bytes) -> np.ndarray:
    """Check that both decoders decode a spectral payload to about the same values."""
    decoded = chunk_codec().decode(payload)
    np.testing.assert_allclose(decoded, decode(payload, CHUNK, FLOAT32, PARAMS), rtol=0, atol=0.01)
    return decoded


LABELS = encode_labels(np.array([0, 1, 2, 2, 0, 0, 0, 0], np.uint8).reshape(2, 2, 2), CHUNK)
SPECIAL_VALUES = b"\2\0\0" + np.array([np.nan, -9], np.float32).tobytes() + LABELS


def test_special_values_of_this_test_are_right() -> None:
    decoded = accept(payload_of(1, bytes(4), SPECIAL_VALUES))
    np.testing.assert_array_equal(decoded.ravel(), [0, np.nan, -9, -9, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("offset", "layout", "values", "fault"),
    [
        (0, "<B", [0], "label"),  # patterns: fewer bytes than there are
        (0, "<B", [99], "state 99 patterns"),
        (0, "<BB", [0x80, 2], "state 256 patterns"),
        (1, "<B", [3], "3 exact ones"),
        (2, "<B", [9], "9 others"),
        (11, "<B", [0], "in place of 2"),  # labels: of one value
        (15, "<B", [3], "axis 3"),  # labels: axis
        (16, "<B", [33], "33 lanes"),  # labels: lanes
        (17, "<B", [99], "99 bytes of words"),  # labels: stream bytes
        (17, "<B", [2], "words of 2 bytes"),  # labels: stream bytes
        (18, "<B", [9], "9 escaped"),  # labels: escaped ones
    ],
)
def test_wrong_special_values_are_rejected(offset: int, layout: str, values: list[int], fault: str) -> None:
    reject(payload_of(1, bytes(4), replace(SPECIAL_VALUES, offset, layout, *values)), fault)


@pytest.mark.parametrize("body", [b"", bytes(3), bytes(5)])
def test_constants_of_another_size_are_rejected(body: bytes) -> None:
    reject(payload_of(1, body), f"takes 4 bytes, not {len(body)}")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "method b''"),
        (b"\x03" + bytes(32), "method b'\\x03'"),
        (bytes(32), "take 31 bytes"),
        (b"\x01" + bytes(32), "do not hold 32 bytes in zstd"),
        (b"\x02abc", "do not hold 32 bytes in blosc"),
    ],
)
def test_wrong_packed_values_are_rejected(body: bytes, fault: str) -> None:
    reject(payload_of(0, body), fault)


def test_payloads_of_this_test_are_accepted_where_they_are_right() -> None:
    assert (accept(payload_of(1, bytes(4))) == 0).all()
    assert (accept(payload_of(0, bytes(33))) == 0).all()


LATTICE_BODY, _ = code_values(np.arange(8, dtype=np.float32).reshape(2, 2, 2), 0.1, CHUNK)
LATTICE_STREAM_BYTES = 8
LATTICE_ITEMS = sum(8 * side**3 for side in (16, 8, 4, 2, 1))


def test_the_lattice_of_this_test_is_right() -> None:
    assert np.abs(accept(payload_of(7, LATTICE_BODY)).ravel() - np.arange(8)).max() <= 0.1


@pytest.mark.parametrize(
    ("offset", "layout", "value", "fault"),
    [
        (12, "<B", 7, "lattice stream"),  # fraction bits
        (13, "<B", 32, "33 lanes"),  # not whole groups
        (14, "<B", 0, "0 tables"),
        (15, "<B", 33, "lattice stream"),  # anchor bits
        (16, "<I", 0xFFFFFFFF, "too many bytes"),  # lowest
        (16, "<I", 0x017FFFFF, "lattice stream"),  # lowest
    ],
)
def test_wrong_lattice_headers_are_rejected(offset: int, layout: str, value: float, fault: str) -> None:
    reject(payload_of(7, replace(LATTICE_BODY, offset, layout, value)), fault)


@pytest.mark.parametrize(
    ("n_lanes", "stream", "fault"),
    [
        (1, bytes(7), "words of 7 bytes"),
        (1, bytes(2), "words of 2 bytes"),
        (256, bytes(100), "256 lanes"),  # no words of any group
        (64, b"", "cut short"),  # no number of words of the first group
        (64, b"\x80", "cut short"),
        (64, bytes([63]) + bytes(256), "groups of [63] words"),  # too few in the first group
        (64, bytes([65]) + bytes(256), "groups of [65] words"),  # too few in the last group
        (64, bytes([129, 1]) + bytes(256), "groups of [129] words"),  # more than there are
        (64, bytes([64]) + bytes(257), "words of 257 bytes"),
        (1, bytes(2 * (3 * LATTICE_ITEMS + 33793)), "contradicts"),  # more than a stream may have
    ],
)
def test_wrong_groups_of_lanes_are_rejected(n_lanes: int, stream: bytes, fault: str) -> None:
    header = replace(LATTICE_BODY[:-LATTICE_STREAM_BYTES], 13, "<B", n_lanes - 1)
    reject(payload_of(7, header + stream), fault)


def logarithms_of(first: int, integers: bytes, signs: bytes | None = None) -> bytes:
    """Make a payload of logarithms."""
    stored = b"" if signs is None else bytes([len(signs)]) + signs
    return payload_of(9, bytes([first]) + stored + integers)


PACKED_INT32 = (
    b"\0\0" + np.array([0, 1, -1, 1 << 20, -3 << 20, 1 << 30, -(1 << 30), 12345678], "<i4").tobytes()
)
PACKED_INT64 = b"\0\0" + np.array([0, 1, -1, 1 << 40, -3 << 40, 1 << 60, -(1 << 60), 0], "<i8").tobytes()
SIGNS = encode_labels(np.array([0, 1, 1, 0, 0, 0, 0, 1], np.uint8).reshape(2, 2, 2), CHUNK)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "uint8", "int64", "uint64"])
def test_logarithms_give_the_same_values_everywhere(dtype: str) -> None:
    values = accept(logarithms_of(0, PACKED_INT32), np.dtype(dtype)).ravel()
    assert values[0] == 1
    assert values[3] == 2
    negative = accept(logarithms_of(1, PACKED_INT32), np.dtype(dtype)).ravel()
    assert negative[3] == (0 if dtype[0] == "u" else -2)
    signed = accept(logarithms_of(6, PACKED_INT64, SIGNS), np.dtype(dtype)).ravel()
    assert signed[3] == 2
    assert signed[7] == negative[0]


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (payload_of(9, b""), "logarithms state b''"),
        (logarithms_of(3, PACKED_INT32), "logarithms state b'\\x03'"),
        (logarithms_of(8, PACKED_INT32), "logarithms state b'\\x08'"),
        (payload_of(9, b"\2\x80"), "cut short"),
        (logarithms_of(2, b"", SIGNS[:-1]), "bytes"),
        (payload_of(9, b"\2\x7f" + SIGNS), "state signs of 127"),
        (logarithms_of(2, PACKED_INT32, LABELS), "a sign has the label 2"),
        (logarithms_of(0, b""), "0 bytes lacks its header"),
        (logarithms_of(0, PACKED_INT64), "take 64 bytes; there must be 32"),
        (logarithms_of(4, PACKED_INT32), "take 32 bytes; there must be 64"),
        (logarithms_of(0, b"\x05" + PACKED_INT32), "of kind 5"),
        (logarithms_of(0, b"\x09\0" + PACKED_INT32), "of kind 9"),
        (logarithms_of(0, b"\x0a" + PACKED_INT32), "kind 10"),
        (logarithms_of(0, b"\x10\1\2\2" + PACKED_INT32), "have (1, 2, 2) voxels"),
        (logarithms_of(0, b"\x10\2\2\2" + PACKED_INT32), "(2, 2, 2) voxels"),
        (logarithms_of(0, b"\x40\2\0\0" + PACKED_INT32), "2 bytes of special values"),
        (logarithms_of(0, b"\4" + bytes(9)), "lacks its header"),
    ],
)
def test_wrong_logarithms_are_rejected(payload: bytes, fault: str) -> None:
    reject(payload, fault)


def test_a_correction_of_a_body_without_a_model_is_ignored() -> None:
    assert (accept(payload_of(1, bytes(4), correction=b"anything")) == 0).all()


def test_label_255_is_another_value_even_if_the_table_has_255_patterns() -> None:
    labels = encode_labels(np.array([0, 1, 254, 255, 0, 0, 0, 0], np.uint8).reshape(2, 2, 2), CHUNK)
    section = b"\xff\1\0\1" + np.arange(1000, 1255, dtype="<f4").tobytes() + np.float32(7).tobytes()
    decoded = accept(payload_of(1, bytes(4), section + labels))
    assert decoded.ravel().tolist() == [0, 1000, 1253, 7, 0, 0, 0, 0]


STEPS_CHUNK = (16, 16, 24)
"""Whole shape of the steps of the golden container of steps."""


def steps_of(*steps: bytes) -> bytes:
    """Make a payload of steps of payloads."""
    body = bytes([len(steps)]) + b"".join(map(_varint, map(len, steps))) + b"".join(steps)
    return Payload(10, STEPS_CHUNK, 0.0, body).to_bytes(STEPS_CHUNK)


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


GOLDEN_STEPS = make_payload_codec(
    SpectralTransformCoder(PARAMS, STEPS_CHUNK), STEPS_CHUNK, FLOAT32, None, STEPS_CHUNK, 3
).parse((GOLDEN / "1-float32-steps.zarr/c/0/0/0/0").read_bytes()[:-4])
FIRST_STEP, PREDICTED_STEP = (step.to_bytes(STEPS_CHUNK) for step in GOLDEN_STEPS[:2])


def with_body(body: bytes) -> bytes:
    """Make a predicted step of another body."""
    return GOLDEN_STEPS[1]._replace(body=body).to_bytes(STEPS_CHUNK)


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (FIRST_STEP, "several steps is of kind spectral"),
        (b"\x0a", "cut short"),
        (b"\x0a\0", "states 0 steps"),
        (steps_of(*[FIRST_STEP] * 4), "states 4 steps; a whole chunk has 3"),
        (b"\x0a\x01\x7fab", "steps of 127 bytes are stated, and 2 are there"),
        (b"\x0a\x01\x01ab", "steps of 1 bytes are stated, and 2 are there"),
        (b"\x4a\1a\x01\x01a", "special values or a correction"),
        (b"\x8a\1a\x01\x01a", "special values or a correction"),
        (steps_of(b""), "0 bytes lacks its header"),
        (steps_of(b"\x05ab"), "kind latents"),
        (steps_of(steps_of(FIRST_STEP)), "kind steps"),
        (steps_of(b"\x11\1\1\1" + bytes(4)), "has (1, 1, 1)"),
        (steps_of(PREDICTED_STEP, FIRST_STEP), "the first step of a chunk is predicted"),
        (steps_of(FIRST_STEP, with_body(b"\0\0")), "3 bytes, not 2"),
        (steps_of(FIRST_STEP, with_body(b"\xff\xff\xff" + GOLDEN_STEPS[1].body[3:])), "a sum above 64"),
        (steps_of(FIRST_STEP, with_body(GOLDEN_STEPS[1].body[:3])), "lacks its header"),
    ],
)
def test_wrong_steps_are_rejected(payload: bytes, fault: str) -> None:
    reject_steps(payload, fault, FLOAT32)


def test_steps_of_wide_dtypes_are_not_predicted() -> None:
    constant = Payload(1, STEPS_CHUNK, 0.0, bytes(8)).to_bytes(STEPS_CHUNK)
    for dtype in ("int64", "uint64", "float64"):
        fault = f"a step of {dtype} is predicted"
        reject_steps(steps_of(constant, PREDICTED_STEP), fault, np.dtype(dtype))


def reject_steps(payload: bytes, fault: str, dtype: np.dtype) -> None:
    """Check that both decoders reject the payload of a chunk of three steps."""
    with pytest.raises(FormatError):
        decode(payload, STEPS_CHUNK, dtype, PARAMS, None, 3)
    coder = SpectralTransformCoder(PARAMS, STEPS_CHUNK)
    codec = make_payload_codec(coder, STEPS_CHUNK, dtype, None, STEPS_CHUNK, 3)
    with pytest.raises(ValueError, match=re.escape(fault)):
        codec.decode(payload)
