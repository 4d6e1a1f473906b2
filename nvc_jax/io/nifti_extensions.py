"""Extensions of NIfTI headers: texts and documents of programs, such as AFNI's history or Siemens' protocol.

They are kept as the entry ``extensions`` of the attribute ``nifti``: codes, and contents as Base64.
"""

import base64
import io
import struct
import warnings
from collections.abc import Mapping
from typing import Any

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.metadata import attempt

EXTENSIONS = "extensions"
"""Entry of the attribute ``nifti``."""
_HEAD = struct.Struct("<ii")
"""Size and code, before the content of an extension."""
_MOST_BYTES = 1 << 22
"""Bytes of extensions that are kept with a volume's metadata, which every reader loads."""


def read_extensions(header: Any, name: str) -> dict[str, Any]:
    """Read the extensions of a header as an entry for the attributes; none where there are none.

    Args:
        header: of nibabel.
        name: of the file; a warning names it where the extensions are too large to be kept.
    """
    stored = [attempt(lambda extension=extension: _content(extension)) for extension in header.extensions]  # type: ignore[misc]
    known = [extension for extension in stored if extension is not None]
    n_bytes = sum(len(content) for _, content in known)
    if len(known) < len(stored) or n_bytes > _MOST_BYTES:
        warnings.warn(
            f"`{name}` has {len(stored)} header extensions, of {n_bytes} bytes, of which those that are "
            f"damaged, or all if they take more than {_MOST_BYTES} bytes, are left out: keep the file, too",
            stacklevel=2,
        )
    if not known or n_bytes > _MOST_BYTES:
        return {}
    return {
        EXTENSIONS: [
            {"code": code, "content": base64.standard_b64encode(content).decode()} for code, content in known
        ]
    }


def add_extensions(header: Any, kept: Mapping[str, Any]) -> None:
    """Add extensions to a header that is to be written.

    Args:
        header: of nibabel.
        kept: the attribute ``nifti``; what is no extension in it is left out.
    """
    nibabel = import_extra("nibabel", "io")
    stated = kept.get(EXTENSIONS)
    for extension in stated if isinstance(stated, list) else ():
        parsed = attempt(
            lambda one=extension: (int(one["code"]), base64.b64decode(one["content"], validate=True))  # type: ignore[misc]
        )
        if parsed is not None:
            header.extensions.append(nibabel.nifti1.Nifti1Extension(*parsed))


def _content(extension: Any) -> tuple[int, bytes]:
    """Return the code and the content of an extension, filled up by zeros as in the file."""
    stream = io.BytesIO()
    extension.write_to(stream, False)
    stored = stream.getvalue()
    return int(_HEAD.unpack_from(stored)[1]), stored[_HEAD.size :]
