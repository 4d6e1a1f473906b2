"""Uniform errors for files that a library cannot read."""

import contextlib
from collections.abc import Iterator

_ADVICE = "copy it anew if it was cut off; if it is of another format, give it that format's suffix"


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
        raise ValueError(unreadable(name, f"{format_name} file", error)) from error


def unreadable(name: str, kind: str, error: Exception) -> str:
    """Say that a file cannot be read, why, and what to do; advice of the error itself comes first."""
    reason = str(error) or f"it ends too soon ({type(error).__name__})"
    if isinstance(error, KeyError):
        reason = f"its header lacks {reason}, or states it wrongly"
    has_advice = _is_own(error) and "; " in reason
    return f"`{name}` is not a readable {kind}: {reason}" + ("" if has_advice else f"; {_ADVICE}")


def _is_own(error: Exception) -> bool:
    """Tell whether an error was raised by this package, not by a library."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("nvc_jax.")
