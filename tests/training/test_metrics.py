import dataclasses
from pathlib import Path

import pytest

from nvc_jax.training.metrics import MetricsLog, read_metrics, tensorboard_log, write_metrics
from nvc_jax.training.progress import TrainingProgress


def report(step: int, loss: float = 0.5) -> TrainingProgress:
    return TrainingProgress(step, 9, loss, 0.1 if step % 2 else None, 1e4, 0.25, 0.01)


def test_reports_come_back(tmp_path: Path) -> None:
    history = (report(1), report(2, 1 / 3))
    write_metrics(tmp_path / "m.jsonl", history)
    assert read_metrics(tmp_path / "m.jsonl") == history


def test_a_run_that_continues_replaces_the_reports_that_it_repeats(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    log = MetricsLog(path)
    for step in (1, 2, 3):
        log.append(report(step))
    path.write_text(path.read_text() + '{"step": 4, "lo')  # a crash in the midst of a line
    continued = MetricsLog(path)
    for step in (3, 4):
        continued.append(report(step, 0.25))
    assert read_metrics(path) == (report(1), report(2), report(3, 0.25), report(4, 0.25))


def test_scalars_are_written_for_tensorboard(tmp_path: Path) -> None:
    with tensorboard_log(tmp_path) as write:
        write(report(1))
        write(report(2))
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = events.EventAccumulator(str(tmp_path)).Reload()
    assert set(accumulator.Tags()["scalars"]) == {
        field.name for field in dataclasses.fields(TrainingProgress) if "step" not in field.name
    }
    assert [(event.step, event.value) for event in accumulator.Scalars("loss")] == [(1, 0.5), (2, 0.5)]
    assert [event.step for event in accumulator.Scalars("validation_loss")] == [1]
