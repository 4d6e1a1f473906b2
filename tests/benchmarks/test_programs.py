"""A gate without a device: all programs lower for all accelerators, and no loop copies a growing buffer."""

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from programs import PLATFORMS, SPECTRAL, all_models, directions_of, make_program
from stablehlo_gate import Finding, count_steps, find_hazards

SIDE, BATCH, LARGE_SHARE = 64, 2, 8
PROGRAMS = [
    (model, direction, batch)
    for model in all_models()
    for batch in (0, BATCH)
    for direction in directions_of(model)
]


@functools.cache
def trace(model: str, direction: str, batch: int) -> Any:
    return make_program(model, direction, SIDE, batch).trace()


class LoweredProgram(NamedTuple):
    """A program for a platform: hazards in it, its loops' steps, and what it calls, by number of calls."""

    hazards: tuple[Finding, ...]
    n_steps: int
    calls: Counter[str]


@functools.cache
def lower(model: str, direction: str, batch: int, platform: str) -> LoweredProgram:
    """Lower a program; what is found is kept, not the program."""
    lowered = trace(model, direction, batch).lower(lowering_platforms=(platform,))
    module = lowered.compiler_ir("stablehlo")
    volume_bytes = make_program(model, direction, SIDE, batch).volume_bytes
    calls = Counter(re.findall(r"custom_call @([\w$.]+)", lowered.as_text()))
    hazards = tuple(find_hazards(module, volume_bytes // LARGE_SHARE))
    return LoweredProgram(hazards, count_steps(module), calls)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_programs_lower_without_float64_and_callbacks(program: tuple[str, str, int], platform: str) -> None:
    found = lower(*program, platform).hazards
    assert [str(finding) for finding in found if finding.rule in ("float64", "callback")] == []


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_no_loop_copies_a_buffer_that_grows(program: tuple[str, str, int], platform: str) -> None:
    found = lower(*program, platform).hazards
    assert [str(finding) for finding in found if finding.rule not in ("float64", "callback")] == []


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    ("model", "direction"),
    [(model, direction) for model, direction, batch in PROGRAMS if model != SPECTRAL and not batch],
)
def test_models_of_the_paper_have_no_loops(model: str, direction: str, platform: str) -> None:
    assert lower(model, direction, 0, platform).n_steps == 0


KERNEL_OF_GPUS = "__gpu$xla.gpu.triton"


def test_gpus_encode_by_kernels_of_their_own() -> None:
    of_survey, of_draws, of_columns, of_lines, of_dc, of_choices = 1, 5, 3, 6, 1, 4
    of_transform, of_profile, of_trellis = 2, 2, 1
    of_scan, of_compaction, of_coder, of_stacks = 1, 3, 1, 1
    n_kernels_of_cuda = of_survey + of_draws + of_columns + of_lines + of_dc + of_choices
    n_kernels_of_cuda += of_transform + of_profile + of_trellis
    n_kernels_of_cuda += of_scan + of_compaction + of_coder + of_stacks
    for platform, n_kernels in (("cuda", n_kernels_of_cuda), ("rocm", 0), ("tpu", 0)):
        assert lower(SPECTRAL, "encode", 0, platform).calls[KERNEL_OF_GPUS] == n_kernels


def test_gpus_decode_by_kernels_of_their_own() -> None:
    of_headers, of_integers, of_queues, of_transform = 1, 1, 5, 2
    n_kernels_of_cuda = of_headers + of_integers + of_queues + of_transform
    for platform, n_kernels in (("cuda", n_kernels_of_cuda), ("rocm", 0), ("tpu", 0)):
        assert lower(SPECTRAL, "decode", 0, platform).calls[KERNEL_OF_GPUS] == n_kernels


@pytest.mark.parametrize("direction", directions_of(SPECTRAL))
def test_only_cpus_run_native_kernels(direction: str) -> None:
    for platform in ("cpu", *PLATFORMS):
        names = lower(SPECTRAL, direction, 0, platform).calls
        assert any("nvc_" in name for name in names) == (platform == "cpu")


COMPILERS = {"cuda": "jax_cuda13_plugin", "tpu": "libtpu"}
COMPILED = Path(__file__).parents[2] / "benchmarks" / "compiled.py"


@functools.cache
def compiled(platform: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Programs of nvc-1 after the compiler's passes, compiled in a process of its own."""
    if importlib.util.find_spec(COMPILERS[platform]) is None:
        pytest.skip(f"no compiler for {platform}: {COMPILERS[platform]} is not installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, str(COMPILED), "--platforms", platform, "--models", SPECTRAL, "--no-steps"]
        sizes = ["--side", str(SIDE), "--batch", str(BATCH)]
        subprocess.run([*command, *sizes, "--output", directory], env=environment, check=True)
        results = json.loads((Path(directory) / "compiled.json").read_text())
    return {(row["direction"], row["batch"]): row for row in results["platforms"][platform]["programs"]}


@pytest.mark.parametrize("platform", COMPILERS)
@pytest.mark.parametrize(
    ("direction", "batch"), [program[1:] for program in PROGRAMS if program[0] == SPECTRAL]
)
def test_no_compiled_loop_copies_a_buffer_that_grows(platform: str, direction: str, batch: int) -> None:
    loops = compiled(platform)[direction, batch]["loops"]
    assert {loop["label"]: loop["copies"] for loop in loops if loop["copies"]} == {}
