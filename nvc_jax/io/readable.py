"""Errors of file libraries."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def readable(name: str, kind: str) -> Iterator[None]:
    """Whatever a library makes of a broken file becomes a ``ValueError`` that names the file."""
    try:
        yield
    except ModuleNotFoundError:
        raise
    except Exception as error:
        raise ValueError(
            f"`{name}` is not a readable {kind} file: {error or type(error).__name__}"
        ) from error
