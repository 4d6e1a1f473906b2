import json
import time
from typing import Any

import pytest

from nvc_jax.core.json_documents import MAX_BYTES, MAX_DEPTH, MAX_MARKS, read_json, write_json


@pytest.mark.parametrize("document", [None, [], {}, {"a": [1, 2.5, '[,]{"}\\\\']}, "\\", ["\u00e9", '\\"']])
def test_documents_come_back(document: Any) -> None:
    text = write_json(document)
    assert text == json.dumps(document, separators=(",", ":"))
    assert read_json(text.encode()) == document


def nest(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_limits_are_kept() -> None:
    assert read_json(nest(MAX_DEPTH)) is not None
    assert len(read_json(b"[" + b"0," * (MAX_MARKS - 3) + b"0]")) == MAX_MARKS - 2
    assert len(read_json(b'["' + b"," * (MAX_MARKS + 1) + b'"]')[0]) == MAX_MARKS + 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (nest(MAX_DEPTH + 1), "more than 64 deep"),
        (b"[" + b"0," * MAX_MARKS + b"0]", "262146 commas and brackets; 262144 are the most"),
        (b"]" * 10**6, "commas and brackets"),
        (nest(10**6), "commas and brackets"),
        (b'"' * (MAX_BYTES + 1), f"{MAX_BYTES + 1} bytes; {MAX_BYTES} are the most"),
        (b"9" * 10**6, "limit"),
        (b'["', "Unterminated|Expecting"),
        (b"\xff", "decode"),
        (b"", "Expecting value"),
    ],
)
def test_documents_beyond_the_limits_are_refused_soon(text: bytes, message: str) -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match=message):
        read_json(text)
    assert time.process_time() - start < 1


def test_only_what_can_be_read_is_written() -> None:
    deep: Any = 0
    for depth in (MAX_DEPTH + 1, 10**5):
        for _ in range(depth):
            deep = [deep]
        with pytest.raises(ValueError, match="more than 64 deep"):
            write_json(deep)
    with pytest.raises(TypeError, match="JSON"):
        write_json({1, 2})
