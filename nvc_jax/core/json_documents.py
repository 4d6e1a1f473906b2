"""JSON from files that anyone may have written: read within limits of size, entries and depth."""

import json
import re
from typing import Any

MAX_BYTES = 64 << 20
"""Bytes of a document, of which an embedded model takes most."""
MAX_MARKS = 1 << 18
"""Commas and brackets: each entry of a list or an object takes up to a few hundred bytes of memory."""
MAX_DEPTH = 64
"""Lists and objects within each other: Python's own limit is reached by functions that call themselves."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def read_json(text: bytes) -> Any:
    """Read a JSON document.

    Raises:
        ValueError: it is no JSON, or beyond a limit.
    """
    _check_limits(text)
    return json.loads(text)


def _check_limits(text: bytes) -> None:
    """Raise ``ValueError`` if a text is beyond a limit."""
    if len(text) > MAX_BYTES:
        raise ValueError(f"it has {len(text)} bytes; {MAX_BYTES} are the most")
    structure = _STRING.sub(b"", text)
    n_marks = sum(structure.count(mark) for mark in (b",", b"[", b"]", b"{", b"}"))
    if n_marks > MAX_MARKS:
        raise ValueError(f"it has {n_marks} commas and brackets; {MAX_MARKS} are the most")
    depth = 0
    for bracket in re.finditer(rb"[\[\]{}]", structure):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"its lists and objects lie more than {MAX_DEPTH} deep within each other")


def write_json(document: Any) -> str:
    """Write a JSON document without white space, which ``read_json`` reads.

    Raises:
        TypeError: JSON cannot hold the document.
        ValueError: it is beyond a limit.
    """
    try:
        text = json.dumps(document, separators=(",", ":"))
    except RecursionError as error:
        raise ValueError(f"its lists and objects lie more than {MAX_DEPTH} deep within each other") from error
    _check_limits(text.encode())
    return text
