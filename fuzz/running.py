"""A long run: workers read inputs within limits of time and memory, and a record says what became of them.

A worker is a process of its own. One that ends or hangs takes nothing with it: its input is kept, and another
worker goes on behind it. An input follows from the seed and its number.
"""

import json
import mmap
import multiprocessing
import os
import pickle
import resource
import struct
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from fuzz.subjects import REFUSALS, Input, Subject

MAX_SECONDS = 20.0
"""Seconds in which an input must be read or refused."""
DEFAULT_MEMORY = 2048
"""MiB that reading an input may take beyond what the worker has when it begins."""
MAX_FAULTS = 50
"""Faults beyond which a run ends."""
_START_SECONDS = 600.0
"""Seconds that a worker has to make its inputs and to compile."""
_REPORT_SECONDS = 1.0
_SLOT_BYTES = 16 << 20
_SLOT = struct.Struct("<QdI")
"""In the memory that a worker shares: number of its input, when it began, bytes of the input that follow."""

MakeSubjects = Callable[[Path], dict[str, Subject]]


class Job(NamedTuple):
    """Inputs that a worker reads.

    Attributes:
        make_subjects: functions that make the kinds of inputs.
        seed: of all inputs.
        start, stop: numbers of the first input, and of the first one behind the last.
        skipped: numbers of inputs that ended an earlier worker.
        memory: MiB that an input may take; 0 for no limit, as the sanitizers need it.
    """

    make_subjects: tuple[MakeSubjects, ...]
    seed: int
    start: int
    stop: int
    skipped: frozenset[int]
    memory: int


def make_schedule(make_subjects: Iterable[MakeSubjects], directory: Path) -> dict[str, Subject]:
    """Make all kinds of inputs, and read a sound one of each."""
    subjects = {name: subject for make in make_subjects for name, subject in make(directory).items()}
    for subject in subjects.values():
        subject.read(subject.sound)
    return subjects


def read_inputs(
    subjects: dict[str, Subject],
    seed: int,
    numbers: Iterable[int],
    keep: Callable[[int, str, Input], None],
    max_seconds: float = MAX_SECONDS,
) -> Iterator[dict[str, Any]]:
    """Read inputs, and say of each what became of it.

    Args:
        subjects: kinds of inputs by name.
        seed: of all inputs.
        numbers: of the inputs.
        keep: called with the number, kind and files of an input before it is read.
        max_seconds: seconds beyond which an input is read again.
    """
    order = [name for name, subject in subjects.items() for _ in range(subject.weight)]
    for number in numbers:
        name = order[number % len(order)]
        made = subjects[name].make(np.random.default_rng((seed, number)))
        keep(number, name, made)
        result = _read_input(subjects[name], made)
        if result["seconds"] > max_seconds:  # it was slow, or the machine, which may have been paused
            result = _read_input(subjects[name], made)
        yield {"number": number, "kind": name, "files": made, **result}


def _read_input(subject: Subject, made: Input) -> dict[str, Any]:
    """Read an input; return its outcome, the seconds that it took and the fault, None for none."""
    start, fault = time.perf_counter(), None
    try:
        subject.read(made)
        outcome = "accepted"
    except REFUSALS as error:
        outcome = type(error).__name__
        fault = None if str(error) else f"{outcome} without a message"
    except Exception as error:
        outcome = type(error).__name__
        fault = traceback.format_exc()
    return {"outcome": outcome, "seconds": time.perf_counter() - start, "fault": fault}


class Tally:
    """Outcomes of the inputs of each kind."""

    def __init__(self) -> None:
        self.kinds: dict[str, dict[str, Any]] = {}

    def add(self, result: dict[str, Any]) -> None:
        """Count one result of ``read_inputs``."""
        kind = self.kinds.setdefault(
            result["kind"], {"inputs": 0, "accepted": 0, "refused": {}, "slowest_seconds": 0.0}
        )
        kind["inputs"] += 1
        if result["outcome"] == "accepted":
            kind["accepted"] += 1
        elif result["fault"] is None:
            kind["refused"][result["outcome"]] = kind["refused"].get(result["outcome"], 0) + 1
        if result["seconds"] > kind["slowest_seconds"]:
            kind |= {"slowest_seconds": round(result["seconds"], 4), "slowest_input": result["number"]}

    def merge(self, other: dict[str, dict[str, Any]]) -> None:
        """Add the counts of another tally."""
        for name, counts in other.items():
            mine = self.kinds.setdefault(name, counts | {"inputs": 0, "accepted": 0, "refused": {}})
            mine["inputs"] += counts["inputs"]
            mine["accepted"] += counts["accepted"]
            for error, count in counts["refused"].items():
                mine["refused"][error] = mine["refused"].get(error, 0) + count
            if counts["slowest_seconds"] > mine["slowest_seconds"]:
                mine |= {key: counts[key] for key in ("slowest_seconds", "slowest_input")}

    @property
    def n_inputs(self) -> int:
        """Inputs of all kinds."""
        return sum(kind["inputs"] for kind in self.kinds.values())


def _work(job: Job, directory: str, slot_path: str, reports: Connection) -> None:
    """Read the inputs of a job in a process of its own, and report about every second."""
    with open(slot_path, "r+b") as file, mmap.mmap(file.fileno(), _SLOT_BYTES) as slot:

        def keep(number: int, name: str, made: Input) -> None:
            stored = pickle.dumps((name, dict(made)))[: _SLOT_BYTES - _SLOT.size]
            slot[_SLOT.size : _SLOT.size + len(stored)] = stored
            slot[: _SLOT.size] = _SLOT.pack(number, time.monotonic(), len(stored))

        keep(job.start, "start", {})
        subjects = make_schedule(job.make_subjects, Path(directory))
        if job.memory:
            limit = _virtual_bytes() + (job.memory << 20)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        reports.send({"ready": _peak_bytes()})
        warnings.simplefilter("error")  # a warning about a damaged file is a fault
        tally, faults, last = Tally(), [], time.monotonic()
        numbers = (number for number in range(job.start, job.stop) if number not in job.skipped)
        for result in read_inputs(subjects, job.seed, numbers, keep):
            tally.add(result)
            if result["fault"] is not None or result["seconds"] > MAX_SECONDS:
                faults.append(result)
            if time.monotonic() - last > _REPORT_SECONDS:
                reports.send(
                    {
                        "next": result["number"] + 1,
                        "kinds": tally.kinds,
                        "faults": faults,
                        "peak": _peak_bytes(),
                    }
                )
                tally, faults, last = Tally(), [], time.monotonic()
        reports.send({"next": job.stop, "kinds": tally.kinds, "faults": faults, "peak": _peak_bytes()})
        os._exit(0)  # without waiting for threads


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Run:
    """A run of some inputs, whose record is written about every half minute and at the end.

    Args:
        make_subjects: functions that make the kinds of inputs.
        seed: of all inputs.
        stop: number of the first input behind the last.
        memory: MiB that an input may take; 0 for no limit.
        kept: directory in which the inputs of faults are kept.
        start: number of the first input: of one seed several runs may read different inputs at a time.
    """

    def __init__(
        self,
        make_subjects: Iterable[MakeSubjects],
        seed: int,
        stop: int,
        memory: int,
        kept: Path,
        start: int = 0,
    ) -> None:
        self._job = Job(tuple(make_subjects), seed, start, stop, frozenset(), memory)
        self._kept = kept
        self.tally = Tally()
        self.faults: list[dict[str, Any]] = []
        self.peak_bytes, self.ready_bytes = 0, 0

    def run(self, on_report: Callable[[], None]) -> None:
        """Read all inputs by one worker after another; ``on_report`` is called about every second."""
        with TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
            while self._job.start < self._job.stop and len(self.faults) < MAX_FAULTS:
                slot = Path(directory) / "slot"
                with open(slot, "wb") as file:
                    file.truncate(_SLOT_BYTES)
                work = Path(directory) / f"worker-{self._job.start}-{len(self._job.skipped)}"
                work.mkdir()
                self._run_worker(work, slot, on_report)

    def _run_worker(self, directory: Path, slot: Path, on_report: Callable[[], None]) -> None:
        """Run a worker until it has read all inputs, ends or hangs."""
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(self._job, str(directory), str(slot), sender))
        worker.start()
        sender.close()
        is_ready, hang = False, None
        while True:
            try:
                if receiver.poll(1.0):
                    report = receiver.recv()
                    is_ready = True
                    self._take(report)
                    on_report()
                    continue
            except EOFError:
                break
            _, since, _ = _read_slot(slot)
            seconds = time.monotonic() - since if since else 0.0
            if seconds > (MAX_SECONDS * 2 if is_ready else _START_SECONDS):
                hang = f"hung for {seconds:.0f} s"
                worker.kill()
                break
        worker.join()
        if self._job.start < self._job.stop and (hang or worker.exitcode != 0):
            if not is_ready:
                raise RuntimeError(f"a worker ended with code {worker.exitcode} before it read anything")
            self._take_crash(slot, hang or f"ended with code {worker.exitcode}")

    def _take(self, report: dict[str, Any]) -> None:
        """Add a worker's report to the record."""
        if "ready" in report:
            self.ready_bytes = max(self.ready_bytes, report["ready"])
            return
        self.tally.merge(report["kinds"])
        self.peak_bytes = max(self.peak_bytes, report["peak"])
        for fault in report["faults"]:
            self._keep_fault(fault["number"], fault["kind"], fault["files"], fault["fault"] or "too slow")
        self._job = self._job._replace(start=report["next"])

    def _take_crash(self, slot: Path, fault: str) -> None:
        """Keep the input that ended a worker, and skip it; those since the last report are read again."""
        number, _, stored = _read_slot(slot)
        name, files = pickle.loads(stored)
        self._keep_fault(number, name, files, fault)
        self._job = self._job._replace(skipped=self._job.skipped | {number})

    def _keep_fault(self, number: int, kind: str, files: Input, fault: str) -> None:
        folder = self._kept / f"{self._job.seed}-{number}"
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is not None:
                path.write_bytes(content)
        self.faults.append({"number": number, "kind": kind, "fault": fault, "kept": folder.name})
        print(f"input {number} of seed {self._job.seed}, {kind}: kept in {folder}\n{fault}", flush=True)

    def outcomes(self) -> dict[str, Any]:
        """Describe what became of the inputs so far, JSON-ready."""
        kinds = dict(sorted(self.tally.kinds.items()))
        slowest = max(kinds.values(), key=lambda kind: kind["slowest_seconds"], default={})
        refused: dict[str, int] = {}
        for kind in kinds.values():
            for error, count in kind["refused"].items():
                refused[error] = refused.get(error, 0) + count
        return {
            "inputs": self.tally.n_inputs + len(self._job.skipped),
            "accepted": sum(kind["accepted"] for kind in kinds.values()),
            "refused": refused,
            "faults": len(self.faults),
            "slowest_seconds": slowest.get("slowest_seconds"),
            "slowest_input": slowest.get("slowest_input"),
            "peak_mib": self.peak_bytes >> 20,
            "peak_mib_before_the_first_input": self.ready_bytes >> 20,
            "limits": {"seconds": MAX_SECONDS, "memory_mib": self._job.memory},
            "kinds": kinds,
            "fault_list": self.faults,
        }


def _read_slot(slot: Path) -> tuple[int, float, bytes]:
    """Read the number of a worker's input, when it began, and the stored input."""
    with open(slot, "rb") as file:
        number, since, n_bytes = _SLOT.unpack(file.read(_SLOT.size))
        return number, since, file.read(n_bytes)


def write_record(path: Path, content: dict[str, Any]) -> None:
    """Write a record as JSON; an earlier one is replaced as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    os.replace(new, path)
