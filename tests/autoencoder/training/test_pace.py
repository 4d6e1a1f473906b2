from collections.abc import Callable

import pytest

from nvc_jax.autoencoder.training.pace import Dispatch, EpochPace, TimedPace
from nvc_jax.training.time_limit import TimeLimit

N_LOADED = 40


class Machine:
    """Clock of a machine whose speed changes, and a run on it.

    Args:
        seconds_per_step: by the number of the step.
        compile_seconds: of the first dispatch.
    """

    def __init__(self, seconds_per_step: Callable[[int], float], compile_seconds: float = 5) -> None:
        self.now, self.step = 0.0, 0
        self.limit = TimeLimit(1, lambda: self.now)
        self.seconds_per_step, self.compile_seconds = seconds_per_step, compile_seconds
        self.milestones: list[int] = []

    def run(self, pace: TimedPace, until: int | None = None) -> list[Dispatch]:
        dispatches = []
        while not pace.is_over(self.step) and self.step != until:
            dispatches.append(pace.plan(self.step, N_LOADED - self.step % N_LOADED))
            began = pace.read_clock()
            if len(dispatches) == 1:
                self.now += self.compile_seconds
            for _ in range(dispatches[-1].n_steps):
                self.now += self.seconds_per_step(self.step)
                self.step += 1
            if pace.finish(dispatches[-1], began, is_epoch_end=self.step % N_LOADED == 0):
                self.milestones.append(self.step)
        return dispatches


def test_epochs_take_all_that_is_loaded() -> None:
    pace = EpochPace(30)
    assert pace.plan(10, 5) == Dispatch(5, 10, 1)
    assert (pace.is_over(29), pace.is_over(30), pace.total_steps(10), pace.notes) == (False, True, 30, {})
    assert pace.finish(Dispatch(5, 10, 1), pace.read_clock(), is_epoch_end=True)
    assert not pace.finish(Dispatch(5, 10, 1), pace.read_clock(), is_epoch_end=False)


@pytest.mark.parametrize(
    "seconds_per_step",
    [lambda _: 0.01, lambda step: 0.01 if step < 900 else 0.04, lambda step: 0.2 if step < 60 else 0.02],
    ids=["steady", "slower", "faster"],
)
def test_the_schedule_ends_with_the_time(seconds_per_step: Callable[[int], float]) -> None:
    machine = Machine(seconds_per_step)
    pace = TimedPace(machine.limit, {})
    dispatches = machine.run(pace)
    assert 59 < machine.now <= 61
    assert 0.98 * pace.n_positions < pace.position <= pace.n_positions * (1 + 1e-9)
    assert pace.total_steps(machine.step) == machine.step == sum(d.n_steps for d in dispatches)
    assert max(d.n_steps for d in dispatches[:4]) <= 2
    # In no dispatch the schedule runs ahead by more than the share of the time that it was planned for.
    assert max(d.n_steps * d.advance for d in dispatches[:-40]) < 0.05 * pace.n_positions
    assert machine.milestones[-1] == machine.step
    assert len(machine.milestones) <= 51


def test_total_steps_are_estimated_from_the_speed() -> None:
    machine = Machine(lambda _: 0.1, compile_seconds=0)
    pace = TimedPace(machine.limit, {})
    assert pace.total_steps(0) == 1
    machine.run(pace, until=40)
    assert pace.total_steps(machine.step) == pytest.approx(600, rel=0.01)


def test_a_pace_continues_where_it_was() -> None:
    machine = Machine(lambda _: 0.05)
    before = TimedPace(machine.limit, {})
    machine.run(before, until=200)
    assert 0.15 < before.position / before.n_positions < 0.25
    after = TimedPace(machine.limit, before.notes)
    dispatches = machine.run(after)
    assert dispatches[0].position == before.position
    assert after.position == pytest.approx(after.n_positions, rel=0.02)
    assert machine.now == pytest.approx(60, abs=1)


def test_no_steps_are_taken_when_the_time_is_over() -> None:
    machine = Machine(lambda _: 0.1)
    pace = TimedPace(machine.limit, {})
    machine.run(pace)
    assert machine.run(TimedPace(machine.limit, pace.notes)) == []
