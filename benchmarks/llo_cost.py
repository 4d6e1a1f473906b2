"""Cycles of kernels of TPUs, from the instructions that the compiler schedules for them.

Of a kernel of Pallas the compiler estimates no cycles, but it writes down its instruction words, stalls
included. Almost all of a kernel of this project is the body of one loop, over the tiles or the steps. So its
cycles are at most its words times the steps of that loop, if its loads and stores are hidden behind them.
"""

import dataclasses
import re
from pathlib import Path

from hlo_text import Module

_LABEL = "packed-bundles-post-ra"
_WORDS = re.compile(r"total scheduled bundles:\s+(\d+)")
_STEPS = re.compile(r"scmp\.ge\.s32\.totalorder [^,]+, (\d+) /\* loop exit test \*/")


def dump_flags(directory: Path) -> str:
    """Get the flags, for ``LIBTPU_INIT_ARGS``, with which the compiler writes schedules to a directory."""
    wanted = f"--xla_jf_dump_llo_pass_label_regex=.*{_LABEL}.*"
    return f"--xla_jf_dump_to={directory} --xla_jf_dump_llo_text=true {wanted}"


def read_cycles(directory: Path, names: set[str]) -> dict[str, int]:
    """Read the cycles of instructions from the schedules in a directory; some may be missing.

    Args:
        directory: that the compiler has written to.
        names: of instructions of the optimised HLO.
    """
    cycles = {}
    for name in names:
        summaries = sorted(directory.glob(f"*-{name}-*schedule-analysis_{_LABEL}.txt"))
        schedules = sorted(directory.glob(f"*-{name}-[0-9]*-{_LABEL}.txt"))
        if summaries and schedules and (words := _WORDS.search(summaries[-1].read_text())):
            steps = [int(n) for n in _STEPS.findall(schedules[-1].read_text())]
            cycles[name] = int(words[1]) * max(steps, default=1)
    return cycles


def with_cycles(module: Module, directory: Path) -> Module:
    """Add to a program the cycles of its kernels of Pallas, by the schedules in a directory."""
    names = {
        instruction.name
        for computation in module.computations.values()
        for instruction in computation
        if instruction.target == "tpu_custom_call"
    }
    cycles = read_cycles(directory, names)
    computations = {
        name: tuple(
            dataclasses.replace(
                inner, attributes=f'{inner.attributes}, "estimated_cycles":"{cycles[inner.name]}"'
            )
            if inner.name in cycles
            else inner
            for inner in computation
        )
        for name, computation in module.computations.items()
    }
    return dataclasses.replace(module, computations=computations)
