"""The task of a parallel launcher that this process is, by the variables that launchers set.

``srun``, ``mpirun`` and their like start one command many times and tell each copy its rank, and how many
there are. Nothing here talks to a launcher or to the other tasks.
"""

import dataclasses
from collections.abc import Mapping

_FIRST_SPECIAL_STEP = 0xFFFFFFF0
"""Number of a Slurm step from which on ``srun`` has not started it: batch scripts, shells of ``salloc``."""
_MPI = {
    "Open MPI": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    "PMI": ("PMI_RANK", "PMI_SIZE"),
}
"""Variables of rank and count by launcher. MPICH, Intel MPI and HPE's PALS set those of PMI."""
_SLURM_RANK, _SLURM_STEP = "SLURM_PROCID", "SLURM_STEP_ID"
_SLURM_COUNTS = ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
"""Variables of the number of tasks, of which the first that is set counts; the second may be of the job."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One of the processes that a launcher started together.

    Attributes:
        rank: number of the process, from 0 on.
        count: number of processes.
        name: of the launcher: ``"Slurm"``, ``"Open MPI"`` or ``"PMI"``.
    """

    rank: int
    count: int
    name: str


def launched_task(environ: Mapping[str, str]) -> Task | None:
    """Find the task that a process with these environment variables is.

    A launcher of MPI counts before Slurm: within a job of Slurm it starts its processes by ``srun``, one for
    each node. A batch script of Slurm is no task, but what it starts by ``srun`` is.

    Args:
        environ: variables and values, such as ``os.environ``.

    Returns:
        The task; None if no launcher that is known here started the process.

    Raises:
        ValueError: the variables of a launcher are no rank and count.
    """
    for name, (rank, count) in _MPI.items():
        if rank in environ and count in environ:
            return _read_task(environ, rank, count, name)
    counts = [count for count in _SLURM_COUNTS if count in environ]
    if _SLURM_RANK not in environ or not counts or not _is_step(environ.get(_SLURM_STEP, "")):
        return None
    return _read_task(environ, _SLURM_RANK, counts[0], "Slurm")


def _is_step(step: str) -> bool:
    """Tell whether ``srun`` started the step of Slurm that has this number."""
    return step.isdecimal() and int(step) < _FIRST_SPECIAL_STEP


def _read_task(environ: Mapping[str, str], rank: str, count: str, name: str) -> Task:
    """Read a task from the variables that are named ``rank`` and ``count``."""
    try:
        task = Task(int(environ[rank]), int(environ[count]), name)
    except ValueError:
        task = Task(0, 0, name)
    if not 0 <= task.rank < task.count:
        raise ValueError(
            f"{rank} (={environ[rank]!r:.80}) must be an integer from 0 on and below {count} "
            f"(={environ[count]!r:.80}): unset both if {name} did not start this process"
        )
    return task
