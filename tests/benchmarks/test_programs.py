"""A gate without a device: all programs lower for all accelerators, and no loop copies a growing buffer."""

import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

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


@functools.cache
def hazards(model: str, direction: str, batch: int, platform: str) -> tuple[Finding, ...]:
    lowered = trace(model, direction, batch).lower(lowering_platforms=(platform,))
    volume_bytes = make_program(model, direction, SIDE, batch).volume_bytes
    return tuple(find_hazards(lowered.compiler_ir("stablehlo"), volume_bytes // LARGE_SHARE))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_programs_lower_without_float64_and_callbacks(program: tuple[str, str, int], platform: str) -> None:
    found = hazards(*program, platform)
    assert [str(finding) for finding in found if finding.rule in ("float64", "callback")] == []


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_no_loop_copies_a_buffer_that_grows(program: tuple[str, str, int], platform: str) -> None:
    found = hazards(*program, platform)
    assert [str(finding) for finding in found if finding.rule not in ("float64", "callback")] == []


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    ("model", "direction"),
    [(model, direction) for model, direction, batch in PROGRAMS if model != SPECTRAL and not batch],
)
def test_models_of_the_paper_have_no_loops(model: str, direction: str, platform: str) -> None:
    lowered = trace(model, direction, 0).lower(lowering_platforms=(platform,))
    assert count_steps(lowered.compiler_ir("stablehlo")) == 0


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
