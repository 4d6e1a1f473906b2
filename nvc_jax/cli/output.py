"""Values, tables and progress bars on the terminal."""

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvc_jax.compression.progress import ByteProgress
    from nvc_jax.training.progress import TrainingProgress

_LEAST_WIDTH = 15
"""Columns of names of values."""
_MIN_TABLE_WIDTH = 120
"""Columns of a table where the output is no terminal: SHA-256 and sizes are not cut."""


def print_values(values: dict[str, Any], as_json: bool) -> None:
    """Print named values, a line each, or as one JSON object."""
    if as_json:
        print(json.dumps(finite_or_none(values)))  # such as the PSNR of an exact copy
        return
    width = max([_LEAST_WIDTH, *map(len, values)])
    for key, value in values.items():
        print(f"{key:<{width}} {value:.6g}" if isinstance(value, float) else f"{key:<{width}} {value}")


def finite_or_none(values: dict[str, Any]) -> dict[str, Any]:
    """Replace infinities and NaN, for which JSON has no numbers, by None."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


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


@contextlib.contextmanager
def byte_progress_bar(verb: str) -> Iterator[Callable[["ByteProgress"], None]]:
    """Show bytes done, speed, ratio and time left on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn(verb),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[ratio]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, ratio="")

        def on_progress(now: "ByteProgress") -> None:
            ratio = f"ratio {now.done_bytes / now.stored_bytes:.1f}" if now.stored_bytes else ""
            bar.update(task, completed=now.done_bytes, total=now.total_bytes, ratio=ratio)

        yield on_progress


@contextlib.contextmanager
def count_progress_bar(verb: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many of several things are done on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def training_progress_bar() -> Iterator[Callable[["TrainingProgress"], None]]:
    """Show steps, losses, speed and time left of a training run on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("loss {task.fields[loss]}  validation {task.fields[validation]}"),
        TextColumn("{task.fields[rate]} blocks/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, loss="–", validation="–", rate="–")

        def on_progress(now: "TrainingProgress") -> None:
            bar.update(
                task,
                completed=now.step,
                total=now.total_steps,
                loss=f"{now.loss:.6f}",
                rate=f"{now.blocks_per_second:,.0f}",
            )
            if now.validation_loss is not None:
                bar.update(task, validation=f"{now.validation_loss:.6f}")

        yield on_progress
