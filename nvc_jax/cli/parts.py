"""The option ``--part`` of ``nvc compress``: the share of a container that this process writes.

A launcher such as ``srun`` starts one command many times. Whether its tasks write one container together, or
each a container of its own that a script names by the rank, only the user knows. A wrong guess would leave
every container of its own without most of its chunks, or do all of the work many times over. So a task of
several must be told.
"""

import argparse
from collections.abc import Mapping

from nvc_jax.core.launchers import launched_task

AUTO = "auto"
"""Text that stands for the rank and the number of tasks that the launcher tells."""


def read_part(text: str) -> tuple[int, int] | str:
    """Read ``I/N`` or ``auto``."""
    if text == AUTO:
        return AUTO
    numbers = text.split("/")
    is_pair = len(numbers) == 2 and all(number.isdecimal() for number in numbers)
    if not is_pair or not int(numbers[0]) < int(numbers[1]):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be I/N, I from 0 to N - 1, such as 0/2 and 1/2; or {AUTO}, under srun or mpirun"
        )
    return int(numbers[0]), int(numbers[1])


def choose_part(given: tuple[int, int] | str | None, environ: Mapping[str, str]) -> tuple[int, int] | None:
    """Choose the share that this process writes.

    Args:
        given: value of ``--part``; None without the option.
        environ: variables of the process.

    Returns:
        (i, n) for the i-th of n shares; None for a process that writes alone.

    Raises:
        ValueError: the process is one of several tasks and nothing says what it shall write, or ``auto`` was
            given and no launcher tells a rank.
    """
    if isinstance(given, tuple):
        return given
    task = launched_task(environ)
    if given == AUTO:
        if task is None:
            raise ValueError(
                "`--part auto` takes rank and number of tasks from srun, mpirun or mpiexec, and none of them "
                "has started this process: give the share as `--part I/N`"
            )
        return task.rank, task.count
    if task is not None and task.count > 1:
        raise ValueError(
            f"{task.name} has started this as task {task.rank} of {task.count}: say `--part auto` for tasks "
            "that write one container together, or `--part 0/1` if this one writes a container of its own"
        )
    return None


def describe_part(share: tuple[int, int] | None) -> list[str]:
    """Name the share of a process, in a list; an empty list where it writes the whole container."""
    return [] if share is None or share[1] == 1 else [f"part {share[0]} of {share[1]}"]
