"""Programs that stand in for those of clusters: they start real processes with the variables of launchers."""

import os
import sys
from pathlib import Path

NVC = f"""#!{sys.executable}
import sys
from nvc_jax.cli import main
sys.exit(main())
"""
LAUNCHER = f"""#!{sys.executable}
import os
import subprocess
import sys

command = sys.argv[1:]
count = os.environ.get("SLURM_NTASKS")
if count is None:
    assert command[0] == "-n", command
    count, command = command[1], command[2:]

def variables(rank):
    if "SLURM_NTASKS" in os.environ:
        names = dict(SLURM_STEP_ID="0", SLURM_PROCID=str(rank), SLURM_STEP_NUM_TASKS=count)
    else:
        names = dict(OMPI_COMM_WORLD_RANK=str(rank), OMPI_COMM_WORLD_SIZE=count)
    return os.environ | names

tasks = [subprocess.Popen(command, env=variables(rank)) for rank in range(int(count))]
sys.exit(max(task.wait() for task in tasks))
"""
"""Starts a command as ``srun`` does where ``SLURM_NTASKS`` is set, or else as Open MPI's ``mpirun -n``."""


def task_variables(rank: int, count: int) -> dict[str, str]:
    """Variables of a process that ``srun`` has started."""
    step = {"SLURM_STEP_ID": "0", "SLURM_PROCID": str(rank), "SLURM_STEP_NUM_TASKS": str(count)}
    return os.environ | step | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": ":".join(sys.path)}


def make_programs(directory: Path) -> dict[str, str]:
    """Write ``nvc``, ``srun`` and ``mpirun``; variables with which a script finds these."""
    for name, text in (("nvc", NVC), ("srun", LAUNCHER), ("mpirun", LAUNCHER)):
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    path = f"{directory}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": ":".join(sys.path), "JAX_PLATFORMS": "cpu"}
