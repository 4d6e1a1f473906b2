import pytest

from nvc_jax.core.launchers import Task, launched_task

STEP = {"SLURM_JOB_ID": "71", "SLURM_STEP_ID": "0", "SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4"}
BATCH = {"SLURM_JOB_ID": "71", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}
OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "6"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        (STEP, Task(2, 4, "Slurm")),
        (STEP | {"SLURM_NTASKS": "9"}, Task(2, 4, "Slurm")),
        (BATCH | {"SLURM_STEP_ID": "3"}, Task(0, 4, "Slurm")),
        (OPEN_MPI, Task(5, 6, "Open MPI")),
        ({"PMI_RANK": "0", "PMI_SIZE": "1"}, Task(0, 1, "PMI")),
        ({"PMI_RANK": "0"}, None),
        ({"SLURM_STEP_ID": "0", "SLURM_NTASKS": "4"}, None),
    ],
)
def test_launchers_are_known_by_their_variables(environ: dict[str, str], expected: Task | None) -> None:
    assert launched_task(environ) == expected


def test_a_batch_script_of_slurm_is_no_task() -> None:
    assert launched_task(BATCH) is None
    for special in ("4294967290", "4294967291"):  # a shell of `salloc`, and a batch script
        assert launched_task(STEP | {"SLURM_STEP_ID": special}) is None


def test_an_mpi_launcher_counts_before_the_step_of_slurm_that_it_runs_in() -> None:
    assert launched_task(STEP | OPEN_MPI) == Task(5, 6, "Open MPI")


@pytest.mark.parametrize(("rank", "count"), [("4", "4"), ("-1", "4"), ("two", "4"), ("0", ""), ("0", "0")])
def test_variables_that_are_no_rank_are_named(rank: str, count: str) -> None:
    with pytest.raises(ValueError, match=rf"PMI_RANK \(='{rank}'\) must be .* below PMI_SIZE \(='{count}'\)"):
        launched_task({"PMI_RANK": rank, "PMI_SIZE": count})
