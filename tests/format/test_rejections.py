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
from make_golden import CHUNK, GOLDEN, model_of
from reference_common import FormatError
from reference_decoder import decode, parse_payload

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.entropy.label_volumes import encode_labels
from nvc_jax.entropy.lorenzo import encode_integers
from nvc_jax.entropy.sparse_integers import encode_sparse
from nvc_jax.lattice.values import encode_values
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

PARAMS = nvc_jax.load_codec(model_of("profiles")).params
"""Parameters of the model of all golden containers but those of one quantiser."""
BODY = 40
"""Offset of the body in a payload."""


def golden_payload(name: str) -> bytes:
    return (GOLDEN / f"1-{name}.zarr" / "c" / "0" / "0" / "0").read_bytes()[:-4]


def replace(payload: bytes, offset: int, layout: str, *values: float) -> bytes:
    """Overwrite fields of a payload."""
    edited = bytearray(payload)
    struct.pack_into(layout, edited, offset, *values)
    return bytes(edited)


def chunk_codec(dtype: str = "float32") -> ChunkCodec:
    return ChunkCodec(SpectralTransformCoder(PARAMS, CHUNK), CHUNK, np.dtype(dtype))


def reject(payload: bytes, fault: str) -> None:
    """Check that both decoders reject a payload, and that the package names the fault."""
    with pytest.raises(FormatError):
        decode(payload, CHUNK, PARAMS)
    with pytest.raises(ValueError, match=re.escape(fault)):
        chunk_codec().decode(payload)


def accept(payload: bytes, dtype: str = "float32") -> np.ndarray:
    """Check that both decoders decode a payload to the same values, and return these."""
    decoded = chunk_codec(dtype=dtype).decode(payload)
    np.testing.assert_array_equal(decoded, decode(payload, CHUNK, PARAMS))
    return decoded


@pytest.mark.parametrize(
    ("offset", "layout", "value", "fault"),
    [
        (0, "<B", ord("N"), "begins with b'Nvc"),  # magic
        (3, "<B", 2, "begins with b'nvc\\x02'"),  # magic: another version
        (4, "<B", 5, "kind latents"),  # kind of a block autoencoder
        (4, "<B", 9, "kind 9"),  # kind
        (5, "<B", 9, "dtype 9"),  # data type
        (8, "<I", 0, "(0, 16, 24) voxels"),  # valid shape
        (12, "<I", 17, "(16, 17, 24) voxels"),  # valid shape beyond the padded shape
        (28, "<I", 35, "header states"),  # body bytes
        (32, "<I", 13, "header states"),  # special-value bytes
        (36, "<I", 1, "header states"),  # correction bytes
    ],
)
def test_wrong_payload_headers_are_rejected(offset: int, layout: str, value: int, fault: str) -> None:
    reject(replace(golden_payload("float32-profiles"), offset, layout, value), fault)


@pytest.mark.parametrize("length", [0, 3, 39, 40, 73, 74, 500, -1])
def test_truncated_payloads_are_rejected(length: int) -> None:
    payload = golden_payload("float32-profiles")[:length]
    reject(payload, f"{len(payload)} bytes")


def test_payloads_with_bytes_behind_are_rejected() -> None:
    payload = golden_payload("float32-profiles") + b"\0"
    reject(payload, f"{len(payload)} bytes")


@pytest.mark.parametrize(
    ("offset", "layout", "value", "fault"),
    [
        (0, "<d", np.inf, "range [inf, "),  # low
        (8, "<d", -1e9, ", -1000000000.0]"),  # high below low
        (8, "<d", 1e39, "of float32 has the range"),  # high beyond float32
        (16, "<f", 2.0**-16, "step 1.52587890625e-05"),  # step
        (16, "<f", 2.5, "step 2.5"),  # step
        (16, "<f", np.nan, "step nan"),  # step
        (20, "<I", 1, "1 words"),  # used words
        (24, "<I", 0, "0 lanes"),  # lanes
        (24, "<I", 7, "7 lanes"),  # lanes: a grid of 2 × 2 × 3 blocks has at most 6
        (28, "<B", 0x05, "lengths [5, "),  # length along z
        (29, "<B", 0x40, "filters ["),  # filter along y
        (30, "<B", 0x3F, "lengths ["),  # length along x
        (31, "<B", 8, "predictor 8"),  # predictor
        (32, "<B", 64, "boundaries 0b1000000"),  # boundaries
        (33, "<B", 255, "profile 255 of"),  # profile
    ],
)
def test_wrong_spectral_headers_are_rejected(offset: int, layout: str, value: float, fault: str) -> None:
    reject(replace(golden_payload("float32-profiles"), BODY + offset, layout, value), fault)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "fault"),
    [
        (0, "<B", 6, "predictor 6"),  # predictor
        (1, "<B", 64, "shift 64"),  # shift
        (2, "<B", 64, "64 low bits"),  # low bits
        (3, "<B", 32, "scale 32"),  # scale
        (4, "<I", 1, "header states"),  # used words
        (8, "<I", 0, "0 lanes"),  # lanes
        (8, "<I", 49, "49 lanes"),  # lanes: 96 cubes may have 48
        (12, "<I", 1, "header states"),  # outliers
    ],
)
def test_wrong_coded_integers_are_rejected(offset: int, layout: str, value: int, fault: str) -> None:
    reject(replace(golden_payload("float32-lossless"), BODY + offset, layout, value), fault)


@pytest.mark.parametrize(
    ("offset", "value", "fault"),
    [
        (0, np.nan, "quantisation begins at nan"),  # low
        (8, 0.0, "spacing of 0.0"),
        (8, -1.0, "spacing of -1.0"),
        (8, np.inf, "spacing of inf"),
    ],
)
def test_wrong_uniform_headers_are_rejected(offset: int, value: float, fault: str) -> None:
    integers = encode_integers(np.arange(8).reshape(2, 2, 2), CHUNK)
    payload = payload_of(3, struct.pack("<dd", 0.0, 1.0) + integers)
    reject(replace(payload, BODY + offset, "<d", value), fault)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "fault"),
    [
        (0, "<d", np.nan, "spacing nan"),  # spacing
        (8, "<I", 1, "sparse integers"),  # exact values
        (12, "<I", 1 << 20, "1048576 sparse integers"),  # sparse integers: more than there are voxels
        (12, "<I", 1, "states scale"),  # sparse integers: fewer than the rest holds
    ],
)
def test_wrong_corrections_are_rejected(offset: int, layout: str, value: float, fault: str) -> None:
    payload = golden_payload("float32-max-error")
    correction = len(payload) - len(parse_payload(payload).correction)
    reject(replace(payload, correction + offset, layout, value), fault)


def with_sparse_integers(sparse: bytes) -> bytes:
    """Replace the correction of a golden payload by one of spacing 1 and these sparse integers."""
    payload = golden_payload("float32-max-error")
    correction = struct.pack("<dI", 1.0, 0) + sparse
    payload = payload[: len(payload) - len(parse_payload(payload).correction)] + correction
    return replace(payload, 36, "<I", len(correction))


SCALE_0 = struct.pack("<BxxxII", 0, 0, 0)
"""A sequence of zeros: scale + 1 is 0."""


@pytest.mark.parametrize(
    ("sparse", "fault"),
    [
        (struct.pack("<I", 0) + SCALE_0 + SCALE_0 + b"\0", "sparse integers take 28 bytes of 29"),
        (struct.pack("<I", 0) + SCALE_0 + SCALE_0[:-1], "sparse integers are cut short"),
        (struct.pack("<IB", 1, 0) + struct.pack("<BxxxII", 33, 2, 1) + bytes(4) + SCALE_0, "scale"),
        (struct.pack("<IB", 1, 0) + struct.pack("<BxxxII", 1, 2, 0) + bytes(4) + SCALE_0, "0 lanes"),
        (encode_sparse(np.array([16 * 16 * 32 - 1]), np.array([1]), (16, 16, 32)), "lie outside"),
    ],
    ids=["too many bytes", "cut short", "scale", "lanes", "rank"],
)
def test_wrong_sparse_integers_are_rejected(sparse: bytes, fault: str) -> None:
    reject(with_sparse_integers(sparse), fault)


def test_used_and_lanes_of_a_sequence_of_zeros_are_ignored() -> None:
    zeros = struct.pack("<I", 0) + SCALE_0 + SCALE_0
    other = struct.pack("<I", 0) + struct.pack("<BxxxII", 0, 5, 9) + SCALE_0
    zeros, other = with_sparse_integers(zeros), with_sparse_integers(other)
    codec = chunk_codec()
    np.testing.assert_array_equal(codec.decode(other), codec.decode(zeros))
    expected = decode(zeros, CHUNK, PARAMS)
    np.testing.assert_array_equal(decode(other, CHUNK, PARAMS), expected)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "fault"),
    [
        (0, "<B", 0, "header states 45"),  # patterns: fewer bytes than there are
        (4, "<I", 1, "header states 25"),  # bytes of labels
        (8, "<I", 1, "header states 61"),  # other patterns
        (1, "<B", 4, "header states 57"),  # exact values: more than patterns
        (24, "<B", 0, "take 33 bytes in place of 2"),  # labels: of one value
        (29, "<B", 3, "axis 3"),  # labels: axis
        (30, "<B", 65, "65 lanes"),  # labels: lanes
        (31, "<I", 8, "8 words"),  # labels: words
    ],
)
def test_wrong_special_values_are_rejected(offset: int, layout: str, value: int, fault: str) -> None:
    payload = golden_payload("float32-lossless")
    start = BODY + len(parse_payload(payload).body)
    assert payload[start] == 3  # patterns of four bytes: the labels begin at byte 24
    reject(replace(payload, start + offset, layout, value), fault)


def payload_of(
    kind: int, body: bytes, dtype: int = 7, special_values: bytes = b"", correction: bytes = b""
) -> bytes:
    """Make a payload of 2 × 2 × 2 voxels."""
    sections = (body, special_values, correction)
    header = struct.pack("<4sBBHIIIdIII", b"nvc\x01", kind, dtype, 0, 2, 2, 2, 0.0, *map(len, sections))
    return header + b"".join(sections)


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


@pytest.mark.parametrize(
    ("offset", "layout", "value", "fault"),
    [
        (0, "<d", np.nan, "begin at nan"),  # low
        (8, "<d", 0.0, "spacing of 0.0"),
        (16, "<B", 7, "lattice stream"),  # fraction bits
        (18, "<H", 257, "lattice stream"),  # lanes
        (20, "<B", 0, "lattice stream"),  # tables
    ],
)
def test_wrong_lattice_headers_are_rejected(offset: int, layout: str, value: float, fault: str) -> None:
    body, _ = encode_values(np.arange(8, dtype=np.float32).reshape(2, 2, 2), 0.1, CHUNK)
    assert np.abs(accept(payload_of(7, body)).ravel() - np.arange(8)).max() <= 0.1
    reject(replace(payload_of(7, body), BODY + offset, layout, value), fault)


def test_a_correction_of_a_body_without_a_model_is_ignored() -> None:
    assert (accept(payload_of(1, bytes(4), correction=b"anything")) == 0).all()


def test_label_255_is_another_value_even_if_the_table_has_255_patterns() -> None:
    labels = encode_labels(np.array([0, 1, 254, 255, 0, 0, 0, 0], np.uint8).reshape(2, 2, 2), CHUNK)
    section = struct.pack("<BBxxII", 255, 0, len(labels), 1)
    section += np.arange(1000, 1255, dtype="<f4").tobytes() + labels + np.float32(7).tobytes()
    decoded = accept(payload_of(1, bytes(4), special_values=section))
    assert decoded.ravel().tolist() == [0, 1000, 1253, 7, 0, 0, 0, 0]


def test_fractions_of_low_and_spacing_are_dropped_for_integer_data_types() -> None:
    integers = encode_integers(np.arange(-4, 4).reshape(2, 2, 2), CHUNK)
    body = struct.pack("<dd", -3.7, 2.9) + integers
    decoded = accept(payload_of(3, body, dtype=5), "int32")
    assert decoded.ravel().tolist() == [2 * i - 3 for i in range(-4, 4)]
