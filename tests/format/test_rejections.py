"""Both the package and the reference decoder reject what section 16 of ``FORMAT.md`` says."""

import struct

import numpy as np
import pytest
from make_golden import CHUNK, GOLDEN, model_of
from reference_common import FormatError
from reference_decoder import decode, parse_payload

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

PARAMS = nvc_jax.load_codec(model_of("profiles")).params
BODY = 40
"""Offset of the body in a payload."""


def golden_payload(name: str) -> bytes:
    return (GOLDEN / f"1-{name}.zarr" / "c" / "0" / "0" / "0").read_bytes()[:-4]


def replace(payload: bytes, offset: int, layout: str, *values: float) -> bytes:
    """Overwrite fields of a payload."""
    edited = bytearray(payload)
    struct.pack_into(layout, edited, offset, *values)
    return bytes(edited)


def reject(payload: bytes) -> None:
    """Check that both decoders reject a payload of a chunk of the golden containers."""
    with pytest.raises(FormatError):
        decode(payload, CHUNK, PARAMS)
    codec = ChunkCodec(SpectralTransformCoder(PARAMS, CHUNK), CHUNK, np.dtype(np.float32))
    with pytest.raises(ValueError, match=r"\w"):
        codec.decode(payload)


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (0, "<B", ord("N")),  # magic
        (3, "<B", 2),  # magic: another version
        (4, "<B", 5),  # kind of a block autoencoder
        (4, "<B", 6),  # kind
        (5, "<B", 9),  # data type
        (8, "<I", 0),  # valid shape
        (12, "<I", 17),  # valid shape beyond the padded shape
        (28, "<I", 1485),  # body bytes
        (32, "<I", 61),  # special-value bytes
        (36, "<I", 1),  # correction bytes
    ],
)
def test_wrong_payload_headers_are_rejected(offset: int, layout: str, value: int) -> None:
    reject(replace(golden_payload("float32-profiles"), offset, layout, value))


@pytest.mark.parametrize("length", [0, 3, 39, 40, 71, 72, 500, 1585])
def test_truncated_payloads_are_rejected(length: int) -> None:
    payload = golden_payload("float32-profiles")
    assert len(payload) == 1586
    reject(payload[:length])


def test_payloads_with_bytes_behind_are_rejected() -> None:
    reject(golden_payload("float32-profiles") + b"\0")


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (0, "<d", np.inf),  # low
        (8, "<d", -1e9),  # high below low
        (8, "<d", 1e39),  # high beyond float32
        (16, "<f", 2.0**-16),  # step
        (16, "<f", 2.5),  # step
        (16, "<f", np.nan),  # step
        (20, "<I", 1),  # used words
        (24, "<I", 0),  # lanes
        (24, "<I", 7),  # lanes: a grid of 2 × 2 × 3 blocks has at most 6
        (28, "<B", 4),  # filter
        (29, "<B", 4),  # predictor
        (30, "<B", 64),  # boundaries
        (31, "<B", 4),  # profile
    ],
)
def test_wrong_spectral_headers_are_rejected(offset: int, layout: str, value: float) -> None:
    reject(replace(golden_payload("float32-profiles"), BODY + offset, layout, value))


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (0, "<B", 6),  # predictor
        (1, "<B", 64),  # shift
        (2, "<B", 64),  # low bits
        (3, "<B", 32),  # scale
        (4, "<I", 1),  # used words
        (8, "<I", 0),  # lanes
        (8, "<I", 49),  # lanes: 96 cubes may have 48
        (12, "<I", 1),  # outliers
    ],
)
def test_wrong_coded_integers_are_rejected(offset: int, layout: str, value: int) -> None:
    reject(replace(golden_payload("float32-lossless"), BODY + offset, layout, value))


@pytest.mark.parametrize(
    ("offset", "value"), [(0, np.nan), (8, 0.0), (8, -1.0), (8, np.inf)], ids=["low", "0", "below 0", "inf"]
)
def test_wrong_uniform_headers_are_rejected(offset: int, value: float) -> None:
    reject(replace(golden_payload("float32-relative-error"), BODY + offset, "<d", value))


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (0, "<d", np.nan),  # spacing
        (8, "<I", 1),  # exact values
        (12, "<I", 1 << 20),  # sparse integers: more than there are voxels
        (12, "<I", 1),  # sparse integers: fewer than the rest holds
    ],
)
def test_wrong_corrections_are_rejected(offset: int, layout: str, value: float) -> None:
    payload = golden_payload("float32-max-error")
    correction = len(payload) - len(parse_payload(payload).correction)
    reject(replace(payload, correction + offset, layout, value))


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (0, "<B", 0),  # patterns: fewer bytes than there are
        (4, "<I", 1),  # bytes of labels
        (8, "<I", 1),  # other patterns
        (24, "<B", 0),  # labels: no Zstandard frame
    ],
)
def test_wrong_special_values_are_rejected(offset: int, layout: str, value: int) -> None:
    payload = golden_payload("float32-lossless")
    start = BODY + len(parse_payload(payload).body)
    assert payload[start] == 3  # patterns of four bytes: the labels begin at byte 24
    reject(replace(payload, start + offset, layout, value))


def payload_of(kind: int, body: bytes, dtype: int = 7) -> bytes:
    """Make a payload of 2 × 2 × 2 voxels."""
    header = struct.pack("<4sBBHIIIdIII", b"nvc\x01", kind, dtype, 0, 2, 2, 2, 0.0, len(body), 0, 0)
    return header + body


@pytest.mark.parametrize("body", [b"", bytes(3), bytes(5)])
def test_constants_of_another_size_are_rejected(body: bytes) -> None:
    reject(payload_of(1, body))


@pytest.mark.parametrize("body", [b"", b"\x03" + bytes(32), bytes(32), b"\x01" + bytes(32), b"\x02abc"])
def test_wrong_packed_values_are_rejected(body: bytes) -> None:
    reject(payload_of(0, body))


def test_payloads_of_this_test_are_accepted_where_they_are_right() -> None:
    assert (decode(payload_of(1, bytes(4)), CHUNK, PARAMS) == 0).all()
    assert (decode(payload_of(0, bytes(33)), CHUNK, PARAMS) == 0).all()
