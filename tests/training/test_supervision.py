import signal
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from nvc_jax.training.mesh import make_mesh
from nvc_jax.training.optimizer import TrainingState
from nvc_jax.training.preemption import Preempted
from nvc_jax.training.progress import RunOptions, TrainingProgress
from nvc_jax.training.supervision import Supervisor, TimedItems
from nvc_jax.training.time_limit import TimeLimit

MESH = make_mesh(jax.devices()[:1])


def make_state(step: int) -> TrainingState:
    return TrainingState({"a": np.full(2, step, np.float64)}, (), np.array(step, np.int32))


def make_report(step: int) -> TrainingProgress:
    return TrainingProgress(step, 10, 0.5, None, 1.0)


def saved_steps(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "steps").iterdir())


def test_states_are_saved_when_it_is_time_to(tmp_path: Path) -> None:
    seen: list[TrainingProgress] = []
    options = RunOptions(directory=tmp_path, checkpoint_every=3, on_progress=seen.append)
    with Supervisor(options, {}, MESH) as supervisor:
        assert supervisor.restore(make_state(0)).step == 0
        for step in (1, 2, 3, 4, 5):
            supervisor.report(make_report(step), make_state(step))
    assert saved_steps(tmp_path) == ["3"]
    assert supervisor.history == seen
    with Supervisor(options, {}, MESH) as supervisor:
        restored = supervisor.restore(make_state(0))
        assert restored.params["a"].tolist() == [3, 3]
        supervisor.report(make_report(4), make_state(4), is_milestone=True)
        assert supervisor.choose_kept(make_state(4)).step == 4
    assert saved_steps(tmp_path) == ["4"]


def test_the_state_is_saved_before_the_process_ends(tmp_path: Path) -> None:
    options = RunOptions(directory=tmp_path)
    with Supervisor(options, {}, MESH) as supervisor:
        supervisor.restore(make_state(0))
        supervisor.report(make_report(1), make_state(1))
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Preempted):
            supervisor.report(make_report(2), make_state(2))
    assert saved_steps(tmp_path) == ["2"]


def test_time_and_notes_are_kept_with_checkpoints(tmp_path: Path) -> None:
    now = [0.0]

    def run(seconds: list[float], step: int) -> tuple[float, dict[str, float]]:
        limit = TimeLimit(1, lambda: now[0])
        with Supervisor(RunOptions(directory=tmp_path, limit=limit), {}, MESH) as supervisor:
            supervisor.restore(make_state(0))
            restored = limit.used(), dict(supervisor.notes)
            for number, passed in enumerate(seconds):
                now[0] += passed
                supervisor.notes["position"] = number + 0.5
                is_milestone = number < len(seconds) - 1  # what comes after the last checkpoint is lost
                supervisor.report(
                    make_report(step + number), make_state(step + number), is_milestone=is_milestone
                )
        return restored

    assert run([20, 7, 100], step=1) == (0, {})
    assert run([5, 0], step=3) == (27, {"position": 1.5, "seconds_used": 27})
    assert run([], step=4) == (32, {"position": 0.5, "seconds_used": 32})


def test_a_run_that_is_done_anyway_ends_as_usual() -> None:
    with Supervisor(RunOptions(), {}, MESH) as supervisor:
        signal.raise_signal(signal.SIGTERM)
        supervisor.report(make_report(10), make_state(10))
    assert [report.step for report in supervisor.history] == [10]


def test_waiting_for_items_is_told_from_working_on_them() -> None:
    def slowly() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.02)
            yield number

    items = TimedItems(slowly())
    assert list(items) == [0, 1, 2]
    time.sleep(0.02)
    timing = items.timing()
    assert timing["seconds"] >= 0.08
    assert 0.06 <= timing["data_wait"] * timing["seconds"] <= timing["seconds"]
    assert items.timing()["seconds"] < timing["seconds"]
