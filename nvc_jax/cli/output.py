"""Results on standard output: sentences, values and tables, or one JSON object."""

import argparse
import io
import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

_LEAST_WIDTH = 15
"""Columns of names of values."""
_MIN_TABLE_WIDTH = 120
"""Columns of a table where the output is no terminal: SHA-256 and sizes are not cut."""


def print_values(values: dict[str, Any], as_json: bool) -> None:
    """Print named values, a line each, or as one JSON object."""
    if as_json:
        print_json(values)
        return
    width = max([_LEAST_WIDTH, *map(len, values)])
    for key, value in values.items():
        print(f"{key:<{width}} {value:.6g}" if isinstance(value, float) else f"{key:<{width}} {value}")


def replace_unprintable() -> None:
    """Let every text be printed: a question mark stands for what the encoding of the output lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_json(values: dict[str, Any]) -> None:
    """Print one strict JSON object on a line, which has null in place of infinity and NaN."""
    print(json.dumps(_finite_or_none(values), allow_nan=False))


def _finite_or_none(value: Any) -> Any:
    """Replace infinities and NaN, for which JSON has no numbers, by None, also within lists and objects."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite_or_none(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_or_none(part) for part in value]
    return value


def print_summary(sentence: str, values: dict[str, Any], options: argparse.Namespace) -> None:
    """Print a run's summary: its values with ``--json``, else a sentence; nothing with ``--quiet``."""
    if options.json:
        print_json(values)
    elif not options.quiet:
        print(sentence)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose first column is aligned to the left; a narrow terminal cuts it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for index, title in enumerate(header):
        table.add_column(title, no_wrap=True, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, _MIN_TABLE_WIDTH))
    console.print(table)
