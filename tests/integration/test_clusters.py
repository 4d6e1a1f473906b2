"""Launchers of clusters, with real processes: what they write together is what one process writes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from launching import make_programs, task_variables
from sample_volume import VOLUME
from stored_files import read_files

import nvc_jax
from nvc_jax.io.writers import write_volume

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = "import sys\nfrom nvc_jax.cli import main\nsys.exit(main())"


def entries(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def run_script(script: str, arguments: list[str], directory: Path, **variables: str) -> str:
    """Run a script of ``examples/`` in a directory; what it prints."""
    programs = directory / "bin"
    programs.mkdir()
    run = subprocess.run(
        ["bash", str(EXAMPLES / script), *arguments],
        cwd=directory,
        env=make_programs(programs) | variables,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_script_of_slurm_compresses_by_several_tasks(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.npy", VOLUME)
    nvc_jax.compress(VOLUME, tmp_path / "alone.zarr", psnr=40, chunks=(16, 16, 16))
    arguments = ["v.npy", "v.zarr", "--psnr", "40", "--chunk", "16,16,16"]
    batch = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}
    printed = run_script("slurm.sh", arguments, tmp_path, **batch)
    assert sorted(re.findall(r"part (\d) of 2", printed)) == ["0", "1"]
    assert " of 2 is written, and the container is complete" in printed
    assert read_files(tmp_path / "v.zarr") == read_files(tmp_path / "alone.zarr")
    assert entries(tmp_path) == ["alone.zarr", "bin", "v.npy", "v.zarr"]


def test_a_script_of_mpi_compresses_by_several_tasks(tmp_path: Path) -> None:
    mask = VOLUME > 99
    write_volume(tmp_path / "v.npy", mask)
    printed = run_script("mpi.sh", ["2", "v.npy", "v.zarr", "--chunk", "16,16,16"], tmp_path)
    assert sorted(re.findall(r"part (\d) of 2", printed)) == ["0", "1"]
    nvc_jax.compress(mask, tmp_path / "alone.zarr", chunks=(16, 16, 16))
    assert read_files(tmp_path / "v.zarr") == read_files(tmp_path / "alone.zarr")


def test_killed_tasks_lose_nothing_but_what_they_were_writing(tmp_path: Path) -> None:
    """Of three tasks one is killed and one is told to end; the same launch again completes the container."""
    mask = np.random.default_rng(0).random((64, 64, 48)) > 0.5
    write_volume(tmp_path / "v.npy", mask)
    nvc_jax.compress(mask, tmp_path / "alone.zarr", chunks=(8, 8, 8), shards=(8, 16, 16))
    options = ["--chunk", "8,8,8", "--shard", "8,16,16", "--part", "auto", "--resume"]
    command = [sys.executable, "-c", PROGRAM, "compress", str(tmp_path / "v.npy"), str(tmp_path / "v.zarr")]

    def launch() -> list[subprocess.Popen]:
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return [
            subprocess.Popen([*command, *options], env=task_variables(rank, 3), **settings)
            for rank in range(3)
        ]

    def has_written(part: int) -> bool:
        objects = [index for number, index in enumerate(np.ndindex(8, 4, 3)) if number % 3 == part]
        return any((tmp_path / ".v.zarr.partial/c" / "/".join(map(str, i))).exists() for i in objects[:2])

    tasks = launch()
    for part, number in ((0, signal.SIGKILL), (1, signal.SIGTERM)):
        while tasks[part].poll() is None and not has_written(part):
            time.sleep(0.001)
        tasks[part].send_signal(number)
    output = [task.communicate(timeout=120) for task in tasks]
    assert [task.returncode for task in tasks] == [-signal.SIGKILL, 128 + signal.SIGTERM, 0]
    assert "part 2 of 3 is written; the last one completes the container" in output[2][0]
    assert "objects are kept in" in output[1][1]
    assert entries(tmp_path)[0] == ".v.zarr.partial"
    assert not (tmp_path / "v.zarr").exists()

    tasks = launch()
    output = [task.communicate(timeout=120) for task in tasks]
    assert [task.returncode for task in tasks] == [0] * 3, output
    assert any("the container is complete" in printed for printed, _ in output)
    assert read_files(tmp_path / "v.zarr") == read_files(tmp_path / "alone.zarr")
    assert entries(tmp_path) == ["alone.zarr", "v.npy", "v.zarr"]


def test_workers_of_dask_compress_together(tmp_path: Path) -> None:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / "dask_cluster.py")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert run.returncode == 0, run.stderr
    assert "2 workers" in run.stdout
    assert "times smaller" in run.stdout
    assert len((EXAMPLES / "dask_cluster.py").read_text().splitlines()) <= 80
