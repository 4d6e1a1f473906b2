"""A gate without a device: all programs lower for all accelerators, and no loop copies a growing buffer."""

import functools
from typing import Any

import pytest
from programs import PLATFORMS, SPECTRAL, all_models, directions_of, make_program
from stablehlo_gate import Finding, find_hazards

SIDE, BATCH, LARGE_SHARE = 64, 2, 8
PROGRAMS = [
    (model, direction, batch)
    for model in all_models()
    for batch in (0, BATCH)
    for direction in directions_of(model)
]
COPIES = {
    (
        SPECTRAL,
        "encode",
        0,
    ): "joining the stacks of words searches for each word, in a loop over all words",
    (SPECTRAL, "encode", BATCH): "loops of the coder and the trellis are under vmap and select whole buffers",
    (SPECTRAL, "decode", BATCH): "the coder's loop is under vmap and selects whole buffers at every step",
}
"""Programs that do not pass the gate yet, and why."""


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
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(program, id=str(program), marks=pytest.mark.xfail(reason=COPIES[program], strict=True))
        if program in COPIES
        else pytest.param(program, id=str(program))
        for program in PROGRAMS
    ],
)
def test_no_loop_copies_a_buffer_that_grows(program: tuple[str, str, int], platform: str) -> None:
    found = hazards(*program, platform)
    assert [str(finding) for finding in found if finding.rule not in ("float64", "callback")] == []
