"""Messages about failed runs and doubtful input: a line each, or a JSON object each, for standard error."""

import contextlib
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any


def describe_failure(
    command: str, reason: str, notes: Sequence[str], status: int, as_json: bool = False
) -> str:
    """Say why a command failed.

    Args:
        command: its name; empty where none is known yet.
        reason: sentence.
        notes: further sentences, such as what is kept.
        status: exit status of the program.
        as_json: whether to write a JSON object in place of a line.
    """
    if as_json:
        return json.dumps({"command": command, "status": status, "error": reason, "notes": list(notes)})
    return "; ".join([f"{f'nvc {command}'.strip()}: {reason}", *notes])


@contextlib.contextmanager
def printing_warnings(command: str, as_json: bool) -> Iterator[None]:
    """Print warnings as lines of the program, without the place in the code that they come from.

    What the interpreter was told about warnings (``python -W``) holds, but for where they go.
    """

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        text = json.dumps({"command": command, "warning": str(message)})
        print(text if as_json else f"nvc {command}: warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
