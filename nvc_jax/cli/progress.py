"""Progress on standard error: a bar on a terminal, else a line every few seconds; compiling is said.

A thread of its own looks on: a long compilation or a slow chunk does not stop it.
"""

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from nvc_jax.cli.compilations import Compilations, watching_compilations
from nvc_jax.cli.quantities import format_bytes, format_rate, format_shape

if TYPE_CHECKING:
    from nvc_jax.compression.progress import ByteProgress
    from nvc_jax.io.downloads import DownloadProgress
    from nvc_jax.training.progress import TrainingProgress

LINE_SECONDS = 5.0
"""Seconds between two lines where standard error is no terminal."""
_TICK_SECONDS = 0.2
_COMPILING_SECONDS = 0.7
"""Seconds after which a program that is not there is said to be compiled: from the cache it takes less."""


class ByteMeter:
    """Callback for ``on_progress`` that remembers the last report.

    Attributes:
        latest: the last report; None before the first.
    """

    def __init__(self, compilations: Compilations | None) -> None:
        self.latest: ByteProgress | DownloadProgress | None = None
        self._start, self._stop = time.monotonic(), math.inf
        self._begun_bytes = 0
        self._compilations = compilations

    def __call__(self, now: "ByteProgress | DownloadProgress") -> None:
        if self.latest is not None and now.done_bytes < self.latest.done_bytes:  # another piece of work
            self._start = time.monotonic()
        self.latest = now

    def on_download(self, now: "DownloadProgress") -> None:
        """Take a report of a download, which may continue an earlier one."""
        self._begun_bytes = now.begun_bytes
        self(now)

    @property
    def new_bytes(self) -> int:
        """Bytes that were done since the start."""
        return 0 if self.latest is None else self.latest.done_bytes - self._begun_bytes

    @property
    def seconds(self) -> float:
        """Seconds since the start, until the end."""
        return min(time.monotonic(), self._stop) - self._start

    def stop(self) -> None:
        """Note the time of the end."""
        self._stop = time.monotonic()

    @property
    def compile_seconds(self) -> float:
        """Seconds of these in which programs were compiled."""
        return 0.0 if self._compilations is None else self._compilations.seconds()

    def describe_compilation(self) -> str | None:
        """Say what is being compiled; None if nothing is."""
        if self._compilations is None or self._compilations.seconds_at_work() < _COMPILING_SECONDS:
            return None
        if self.latest is None or self.latest.chunk is None:
            return "compiling, once"
        return f"compiling for {format_shape(self.latest.chunk)} {self.latest.dtype}, once"


class _Display(Protocol):
    """Display that shows a meter's state whenever ``show`` is called."""

    def show(self, meter: ByteMeter) -> None: ...


@contextlib.contextmanager
def byte_progress_bar(
    verb: str, *, quiet: bool = False, compiles: bool = True, line_seconds: float = LINE_SECONDS
) -> Iterator[ByteMeter]:
    """Show bytes done, speed, ratio and time left on standard error, and when programs are compiled.

    Args:
        verb: name of the command.
        quiet: whether to show nothing.
        compiles: whether the work compiles programs.
        line_seconds: seconds between two lines where standard error is no terminal.

    Yields:
        The callback for ``on_progress``.
    """
    with contextlib.ExitStack() as stack:
        meter = ByteMeter(stack.enter_context(watching_compilations()) if compiles else None)
        if not quiet:
            display = stack.enter_context(_display(verb, line_seconds))
            stack.enter_context(_repeating(lambda: display.show(meter)))
        yield meter
        meter.stop()


@contextlib.contextmanager
def _display(verb: str, line_seconds: float) -> Iterator[_Display]:
    """Make the display that suits standard error."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(verb, line_seconds)
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[ratio]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        yield _Bar(verb, bar)


class _Bar:
    """Bar on a terminal."""

    def __init__(self, verb: str, bar: Any) -> None:
        self._verb, self._bar = verb, bar
        self._task = bar.add_task(verb, total=None, ratio="")

    def show(self, meter: ByteMeter) -> None:
        """Draw the bar anew."""
        now, description = meter.latest, meter.describe_compilation() or self._verb
        if now is None:
            self._bar.update(self._task, description=description)
            return
        ratio = f"ratio {now.done_bytes / now.stored_bytes:.1f}" if now.stored_bytes else ""
        self._bar.update(
            self._task, description=description, completed=now.done_bytes, total=now.total_bytes, ratio=ratio
        )


class _Lines:
    """Lines where standard error is no terminal, such as the log of a batch job."""

    def __init__(self, verb: str, line_seconds: float) -> None:
        self._verb, self._line_seconds = verb, line_seconds
        self._n_lines = 1
        self._compilation: str | None = None

    def show(self, meter: ByteMeter) -> None:
        """Print a line if it is time."""
        compilation = meter.describe_compilation()
        if compilation is not None and compilation != self._compilation:
            self._compilation = compilation
            self._print(compilation)
        if meter.seconds >= self._n_lines * self._line_seconds:
            self._n_lines += 1
            self._print(_describe(meter))

    def _print(self, text: str) -> None:
        print(f"nvc {self._verb}: {text}", file=sys.stderr, flush=True)


def _describe(meter: ByteMeter) -> str:
    """Say how far a run is: share, bytes, speed, ratio and the time that is left."""
    now, seconds = meter.latest, meter.seconds
    if now is None or not now.done_bytes:
        work = "still compiling" if meter.describe_compilation() else "nothing is done yet"
        return f"{work}, after {seconds:.0f} s"
    done = format_bytes(now.done_bytes)
    if now.total_bytes is not None:
        done = f"{100 * now.done_bytes / now.total_bytes:.0f} % of {format_bytes(now.total_bytes)}"
    parts = [done, format_rate(meter.new_bytes, seconds)]
    if now.stored_bytes:
        parts.append(f"ratio {now.done_bytes / now.stored_bytes:.1f}")
    if now.total_bytes is not None and meter.new_bytes:
        left = seconds * (now.total_bytes - now.done_bytes) / meter.new_bytes
        parts.append(f"about {left:.0f} s left")
    return ", ".join(parts)


@contextlib.contextmanager
def _repeating(work: Callable[[], None]) -> Iterator[None]:
    """Call ``work`` again and again, in a thread, until the block ends, and once more then."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(_TICK_SECONDS):
            work()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        work()


@contextlib.contextmanager
def training_progress_bar(*, quiet: bool = False) -> Iterator[Callable[["TrainingProgress"], None]]:
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
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
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


@contextlib.contextmanager
def count_progress_bar(verb: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how many of several things are done on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
