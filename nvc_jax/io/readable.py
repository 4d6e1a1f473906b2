"""Uniform errors for files that a library cannot read."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def readable(name: str, format_name: str) -> Iterator[None]:
    """Turn any error of a file library into a ``ValueError`` that names the file and its format.

    A ``ModuleNotFoundError`` passes: it says that the library is not installed.
    """
    try:
        yield
    except ModuleNotFoundError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"`{name}` is not a readable {format_name} file: {reason}") from error
