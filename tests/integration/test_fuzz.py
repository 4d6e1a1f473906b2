"""A short run of the fuzzers: no input is a fault, and of each kind some are refused."""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.containers import container_subjects
from fuzz.payloads import payload_subjects
from fuzz.running import Run, Tally, make_schedule, read_inputs
from fuzz.subjects import Input, Subject


@pytest.mark.parametrize(("make_subjects", "count"), [(payload_subjects, 1400), (container_subjects, 580)])
def test_inputs_are_refused_or_read(make_subjects: Callable, count: int, tmp_path: Path) -> None:
    subjects = make_schedule([make_subjects], tmp_path)
    tally = Tally()
    for result in read_inputs(subjects, 1, range(count), keep=lambda *_: None):
        assert result["fault"] is None, (result["number"], result["kind"], result["fault"])
        tally.add(result)
    assert tally.n_inputs == count
    assert set(tally.kinds) == set(subjects)
    assert all(kind["refused"] for kind in tally.kinds.values())


def refuse(files: Input) -> None:
    if files["input"] != b"sound":
        raise ValueError("refused")


def raise_another_error(files: Input) -> None:
    if files["input"] != b"sound":
        raise IndexError("no refusal")


def warn(files: Input) -> None:
    if files["input"] != b"sound":
        warnings.warn("no refusal either", stacklevel=1)


def take_memory(files: Input) -> None:
    if files["input"] != b"sound":
        bytearray(1 << 40)


def abort(files: Input) -> None:
    if files["input"] != b"sound":
        os.abort()


READERS = (refuse, raise_another_error, warn, take_memory, abort)


def make_faulty_subjects(_: Path) -> dict[str, Subject]:
    """Make readers with a fault of each kind."""
    return {
        read.__name__: Subject(lambda rng: {"input": b"changed"}, read, {"input": b"sound"})
        for read in READERS
    }


def test_faults_are_recorded_and_the_run_goes_on(tmp_path: Path) -> None:
    run = Run([make_faulty_subjects], seed=0, stop=len(READERS) + 1, memory=256, kept=tmp_path / "kept")
    run.run(lambda: None)
    outcomes = run.outcomes()
    assert outcomes["inputs"] == len(READERS) + 1
    assert outcomes["refused"] == {"ValueError": 2}
    faults = {fault["kind"]: fault["fault"] for fault in run.faults}
    parts = ("IndexError", "UserWarning", "MemoryError", "ended with code")
    assert len(faults) == len(parts)
    for read, part in zip(READERS[1:], parts, strict=True):
        assert part in faults[read.__name__]
    for fault in run.faults:
        assert (tmp_path / "kept" / fault["kept"] / "input").read_bytes() == b"changed"


def test_an_input_that_takes_long_once_is_read_again() -> None:
    pauses = [0.3, 0.0]
    subject = Subject(lambda rng: {"input": b""}, lambda _: time.sleep(pauses.pop(0)), {"input": b""})
    (result,) = read_inputs({"slow": subject}, 0, [0], lambda *_: None, max_seconds=0.2)
    assert (pauses, result["outcome"], result["fault"]) == ([], "accepted", None)
    assert result["seconds"] < 0.2


def test_runs_of_one_seed_may_share_its_inputs(tmp_path: Path) -> None:
    numbers: list[int] = []
    for start, stop in ((0, 2), (2, 4)):
        run = Run([make_faulty_subjects], 0, stop, memory=256, kept=tmp_path, start=start)
        run.run(lambda: None)
        assert run.outcomes()["inputs"] == 2
        numbers += [fault["number"] for fault in run.faults]
    assert numbers == [1, 2, 3]
