"""The chain of pages of a TIFF file: each says where the next begins, and the last that there is none.

Of a file that was cut off libraries read the pages that are left, as if they were all.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple


class _Layout(NamedTuple):
    """Fields of a variant of TIFF: formats of a page's count of tags and of an offset, and bytes of a tag."""

    count_format: str
    offset_format: str
    tag_bytes: int


_ORDERS = {b"II": "<", b"MM": ">"}
_LAYOUTS = {42: _Layout("H", "I", 12), 43: _Layout("Q", "Q", 20)}
"""Layouts of TIFF and of BigTIFF, by the number after the byte order."""
_HEADERS = {42: 4, 43: 8}
"""Byte at which the offset of the first page lies."""


def check_pages(path: Path) -> None:
    """Raise ``ValueError`` if a page of a TIFF file begins, or goes on, behind the end of the file.

    Files of other layouts pass: the library that reads them says what they lack.
    """
    with path.open("rb") as file:
        size, header = os.fstat(file.fileno()).st_size, file.read(4)
        order = _ORDERS.get(header[:2])
        version = None if order is None or len(header) < 4 else struct.unpack(f"{order}H", header[2:])[0]
        if order is None or version not in _LAYOUTS:
            return
        file.seek(_HEADERS[version])
        layout = _LAYOUTS[version]
        offset, n_pages, seen = _read(file, order + layout.offset_format), 0, set[int]()
        while offset:
            if offset in seen:
                return
            seen.add(offset)
            if offset < size:
                file.seek(offset)
            n_tags = None if offset >= size else _read(file, order + layout.count_format)
            following = None
            if n_tags is not None:
                file.seek(n_tags * layout.tag_bytes, os.SEEK_CUR)
                following = _read(file, order + layout.offset_format)
            if following is None:
                raise ValueError(
                    f"page {n_pages} of it begins at byte {offset}, and the file, of {size} bytes, ends "
                    "before that page does; copy it anew: it was cut off"
                )
            offset, n_pages = following, n_pages + 1


def _read(file: BinaryIO, layout: str) -> int | None:
    """Read an integer; None behind the end of the file."""
    data = file.read(struct.calcsize(layout))
    return None if len(data) < struct.calcsize(layout) else int(struct.unpack(layout, data)[0])
