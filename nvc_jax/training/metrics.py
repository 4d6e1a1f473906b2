"""Metrics of a training run on disk: a file of JSON lines, and event files of TensorBoard."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.training.progress import TrainingProgress

METRICS = "metrics.jsonl"
"""Name of the file of JSON lines, in the directory of a run and in that of a checkpoint."""


def read_metrics(path: Path) -> tuple[TrainingProgress, ...]:
    """Read the progress reports of a run, oldest first; a line that a crash cut off is left out.

    Args:
        path: of a file that ``MetricsLog`` or ``write_metrics`` has written.
    """
    reports = []
    with contextlib.suppress(json.JSONDecodeError):
        for line in path.read_text().splitlines():
            reports.append(TrainingProgress(**json.loads(line)))
    return tuple(reports)


def write_metrics(path: Path, history: tuple[TrainingProgress, ...]) -> None:
    """Write progress reports, a JSON object on a line each; its keys are the fields of a report."""
    path.write_text("".join(map(_to_line, history)))


class MetricsLog:
    """File that a run appends a line to for every progress report.

    A run that continues from a checkpoint reports some steps again. The lines of these steps are replaced.

    Args:
        path: of the file; its directory is created if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_begun = False

    def append(self, progress: TrainingProgress) -> None:
        """Append the line of a report."""
        if not self._is_begun:
            self._is_begun = True
            self._path.parent.mkdir(parents=True, exist_ok=True)
            before = read_metrics(self._path) if self._path.exists() else ()
            write_metrics(self._path, tuple(report for report in before if report.step < progress.step))
        with self._path.open("a") as file:
            file.write(_to_line(progress))


@contextlib.contextmanager
def tensorboard_log(directory: Path) -> Iterator[Callable[[TrainingProgress], None]]:
    """Write progress reports as scalars for TensorBoard.

    Args:
        directory: of the event files; created if it does not exist.

    Yields:
        A function that takes reports.

    Raises:
        ModuleNotFoundError: the extra ``tensorboard`` is not installed.
    """
    tensorboardx = import_extra("tensorboardX", "tensorboard")
    with tensorboardx.SummaryWriter(str(directory)) as writer:

        def on_progress(progress: TrainingProgress) -> None:
            for name, value in dataclasses.asdict(progress).items():
                if value is not None and name not in ("step", "total_steps"):
                    writer.add_scalar(name, value, progress.step)

        yield on_progress


def _to_line(progress: TrainingProgress) -> str:
    return json.dumps(dataclasses.asdict(progress)) + "\n"
