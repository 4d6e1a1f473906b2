"""Training by several processes, which JAX connects on loopback as ``srun`` would have them connected."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import nvc_jax
from nvc_jax.models.training import TrainingResult
from nvc_jax.training.metrics import METRICS, read_metrics

DENSE: dict[str, Any] = {
    "model": {"architecture": "dense", "margin": 0, "hidden_sizes": [16], "latent_dim": 8},
    "epochs": 9,
    "batch_size": 8,
    "steps_per_dispatch": 9,
}
"""A run of 27 reports, 3 in each of 9 epochs: long enough to be interrupted."""
PROGRAM = [sys.executable, "-c", "import sys; from nvc_jax.cli import main; sys.exit(main())"]


def noisy_waves() -> np.ndarray:
    z, y, x = np.meshgrid(*[np.linspace(0, 6, 48)] * 3, indexing="ij")
    noise = np.random.default_rng(0).normal(0, 0.1, x.shape)
    return (np.sin(z + y) * np.cos(2 * x) + noise).astype(np.float32)


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def launch(n: int, directory: Path, *options: str, last: Path | None = None) -> list[subprocess.Popen[str]]:
    """Start ``nvc train`` in processes of one device each, the last one in the directory ``last``."""
    shared = {
        "JAX_COORDINATOR_PORT": str(find_free_port()),
        "SLURM_JOB_ID": "71",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(n),
        "SLURM_LOCALID": "0",
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("device_count=2", "device_count=1"),
    }
    train = ["train", "config.json", "v.npy", "--output", "model", *options]
    return [
        subprocess.Popen(
            [*PROGRAM, *train],
            cwd=last if last is not None and rank == n - 1 else directory,
            env={**os.environ, **shared, "SLURM_PROCID": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(n)
    ]


def wait_for_reports(directory: Path, count: int, processes: list[subprocess.Popen[str]]) -> None:
    """Wait until the run has written so many reports."""
    metrics = directory / "model.training" / METRICS
    while not metrics.exists() or len(read_metrics(metrics)) < count:
        ended = [process for process in processes if process.poll() is not None]
        assert not ended, [process.communicate() for process in ended]
        time.sleep(0.05)


def end(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Wait for the end of processes: statuses, and what they wrote to standard error."""
    errors = [process.communicate(timeout=120)[1] for process in processes]
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


@pytest.fixture(scope="module", autouse=True)
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[subprocess.Popen[str]]]]:
    """A run of two processes, one of which was killed; the other ones miss its signs of life after 30 s.

    Meanwhile other tests run.
    """
    directory = tmp_path_factory.mktemp("killed")
    np.save(directory / "v.npy", noisy_waves())
    (directory / "config.json").write_text(json.dumps(DENSE))
    processes = launch(2, directory)
    wait_for_reports(directory, 5, processes)
    processes[1].kill()
    yield directory, processes
    for process in processes:
        process.kill()
        process.communicate()


def test_three_processes_train_as_one(tmp_path: Path) -> None:
    config = {**DENSE, "epochs": 1, "batch_size": 6}
    np.save(tmp_path / "v.npy", noisy_waves())
    (tmp_path / "config.json").write_text(json.dumps(config))
    for status, error in end(launch(3, tmp_path)):
        assert status == 0, error
    expected = nvc_jax.train(config, [noisy_waves()], devices=jax.devices()[:1])
    np.testing.assert_allclose(
        [report.loss for report in read_metrics(tmp_path / "model" / METRICS)],
        [report.loss for report in expected.history],
        rtol=1e-5,
    )


def test_an_error_of_one_process_ends_all(tmp_path: Path) -> None:
    places = [tmp_path / "with volume", tmp_path / "without"]
    for place in places:
        place.mkdir()
        (place / "config.json").write_text(json.dumps(DENSE))
    np.save(places[0] / "v.npy", noisy_waves())
    (_, (status, error)) = ended = end(launch(2, places[0], last=places[1]))
    assert all(status != 0 for status, _ in ended)
    assert status == 1
    assert "v.npy" in error
    assert not (places[0] / "model").exists()


def test_processes_agree_on_the_end_of_their_time(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", noisy_waves())
    (tmp_path / "config.json").write_text(json.dumps(DENSE))
    for status, error in end(launch(2, tmp_path, "--minutes", "0.02")):
        assert status == 0, error
    last = read_metrics(tmp_path / "model" / METRICS)[-1]
    assert last.step == last.total_steps


def test_eight_devices_of_one_process_train_as_one(tmp_path: Path) -> None:
    code = f"""
import jax, json, numpy as np, nvc_jax
volume = np.load("v.npy")
for n in (1, 8):
    history = nvc_jax.train({ {**DENSE, "epochs": 1}!r}, [volume], devices=jax.devices()[:n]).history
    print(json.dumps([report.loss for report in history]))
"""
    np.save(tmp_path / "v.npy", noisy_waves())
    flags = os.environ["XLA_FLAGS"].replace("device_count=2", "device_count=8")
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    one, eight = (json.loads(line) for line in run.stdout.splitlines())
    np.testing.assert_allclose(eight, one, rtol=1e-5)


@pytest.fixture
def uninterrupted() -> TrainingResult:
    """A run of one process with two devices, which share batches as two processes of one device do."""
    return nvc_jax.train(DENSE, [noisy_waves()], devices=jax.devices()[:2])


def test_a_run_survives_the_death_and_the_preemption_of_its_processes(
    killed: tuple[Path, list[subprocess.Popen[str]]], uninterrupted: TrainingResult
) -> None:
    directory, processes = killed
    assert all(status != 0 for status, _ in end(processes))
    assert not (directory / "model").exists()
    n_reports = len(read_metrics(directory / "model.training" / METRICS))

    processes = launch(2, directory)
    wait_for_reports(directory, n_reports + 3, processes)
    processes[1].terminate()
    for status, error in end(processes):
        assert status == 128 + signal.SIGTERM
        assert "the same command continues it" in error
    assert len(read_metrics(directory / "model.training" / METRICS)) < 27

    for status, error in end(launch(2, directory)):
        assert status == 0, error
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "model", "v.npy"]
    jax.tree.map(
        np.testing.assert_array_equal,
        nvc_jax.load_codec(directory / "model").params,
        uninterrupted.codec.params,
    )
    losses = [report.loss for report in read_metrics(directory / "model" / METRICS)]
    assert losses == [report.loss for report in uninterrupted.history]
