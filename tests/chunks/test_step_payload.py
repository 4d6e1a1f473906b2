import pytest

from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.chunks.step_payload import join_steps, split_steps, stated_shape

WHOLE, VALID = (8, 8, 16), (8, 7, 16)
STEPS = [
    Payload(PayloadKind.SPECTRAL, VALID, 0.5, b"first", b"special", b"correction"),
    Payload(PayloadKind.PREDICTED, VALID, 0.75, b"second"),
    Payload(PayloadKind.PACKED, VALID, 0.0, bytes(200)),
]


def test_steps_come_back() -> None:
    joined = join_steps(STEPS, VALID)
    assert (joined.kind, joined.valid_shape, joined.max_error) == (PayloadKind.STEPS, VALID, 0.75)
    parsed = parse_payload(joined.to_bytes(WHOLE), WHOLE)
    assert split_steps(parsed, 3) == STEPS
    assert stated_shape(parsed, 3) == (3, *VALID)
    assert stated_shape(STEPS[0], 1) == VALID


def of(body: bytes, **fields: bytes) -> Payload:
    return Payload(PayloadKind.STEPS, VALID, 0.0, body)._replace(**fields)


NESTED = join_steps(STEPS[:1], VALID).to_bytes(VALID)
PREDICTED = STEPS[1].to_bytes(VALID)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (STEPS[0], "several steps is of kind spectral"),
        (of(b""), "cut short"),
        (of(b"\0"), "states 0 steps; a whole chunk has 3"),
        (of(b"\4" + bytes(8)), "states 4 steps; a whole chunk has 3"),
        (of(b"\2\1"), "cut short"),
        (of(b"\1\3ab"), "steps of 3 bytes are stated, and 2 are there"),
        (of(b"\1\1ab"), "steps of 1 bytes are stated, and 2 are there"),
        (of(b"\1\2ab", special_values=b"x"), "special values or a correction"),
        (of(b"\1\2ab", correction=b"x"), "special values or a correction"),
        (of(b"\1\0"), "0 bytes lacks its header"),
        (of(b"\1\2\5x"), "kind latents"),
        (of(b"\1" + bytes([len(NESTED)]) + NESTED), "kind steps"),
        (of(b"\1" + bytes([len(PREDICTED)]) + PREDICTED), "the first step of a chunk is predicted"),
        (of(b"\1\5\x10\7\7\7x"), "has \\(7, 7, 7\\)"),
    ],
)
def test_wrong_steps_are_refused(payload: Payload, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_steps(payload, 3)
