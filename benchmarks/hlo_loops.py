"""Loops of a compiled program: their steps, who drives them, and large buffers that a step copies as a whole.

A loop carries buffers from step to step. Where the compiler cannot update one in place, every step copies all
of it, and a loop over a volume takes a time that grows with the square of the volume. Three things do that: a
``copy``, a ``conditional`` that returns the buffer, and a ``select`` between the buffer before and after. The
last is what ``jax.vmap`` makes of a loop whose number of steps differs between the members of the batch.
"""

import dataclasses
from collections.abc import Iterator

from hlo_text import Instruction, Module, type_bytes

_IN_PLACE = {"dynamic-update-slice", "scatter"}
"""Operations that change a part of their first operand, in place where nothing else reads it."""
_VIEWS = {
    "bitcast",
    "get-tuple-element",
    "tuple",
    "parameter",
    "constant",
    "opt-barrier",
    "after-all",
    "iota",
}
"""Operations without a kernel of their own."""
_CONTROL = {"while", "conditional", "call", "async-start", "async-done", "copy-done", "slice-done"}
_NO_WORK = {"AllocateBuffer", "AssumeGatherIndicesInBound", "ConcatBitcast", "GatherScatterIndicesBitpacked"}
"""Custom calls by which the compiler for TPUs marks values; they do nothing."""


@dataclasses.dataclass(frozen=True)
class WholeCopy:
    """An operation of a loop's step that writes all of a buffer that the loop carries.

    Attributes:
        name: of the instruction.
        cause: ``copy``, ``conditional`` or the operation that rewrites the buffer, such as ``select``.
        n_bytes: of the buffer.
    """

    name: str
    cause: str
    n_bytes: int


@dataclasses.dataclass(frozen=True)
class Loop:
    """A ``while`` of a program.

    Attributes:
        name: of the instruction.
        label: line of the source, ``file:line function``, or else the path of names that JAX gives.
        trips: number of steps, None if it depends on data.
        depth: number of loops around it.
        kernels: kernels that one step launches, without those of inner loops.
        carried_bytes: of all buffers that the loop carries or reads.
        is_batched: whether the condition looks at many values: a loop under ``jax.vmap``.
        copies: of large buffers, at each step.
    """

    name: str
    label: str
    trips: int | None
    depth: int
    kernels: int
    carried_bytes: int
    is_batched: bool
    copies: tuple[WholeCopy, ...]

    @property
    def copied_bytes(self) -> int:
        """Bytes of large buffers that one step copies."""
        return sum(copy.n_bytes for copy in self.copies)


def find_loops(module: Module, large_bytes: int) -> list[Loop]:
    """Find all loops of a program, outer ones before the inner ones.

    Args:
        module: the program.
        large_bytes: size from which a carried buffer counts as one that grows with the volume.
    """
    return list(_loops_of(module, module.entry, 0, large_bytes))


def launches(module: Module, computation: str) -> Iterator[Instruction]:
    """Go through the operations of a computation that take a kernel, without those of inner loops."""
    for instruction in module.computations[computation]:
        if instruction.opcode in ("call", "conditional", "async-start"):
            for called in instruction.called.values():
                for inner in called:
                    yield from launches(module, inner)
        elif instruction.opcode not in _VIEWS | _CONTROL and instruction.target not in _NO_WORK:
            yield instruction


def inner_loops(module: Module, computation: str) -> Iterator[Instruction]:
    """Go through the loops of a computation, without those inside of them."""
    for instruction in module.computations[computation]:
        if instruction.opcode == "while":
            yield instruction
        elif instruction.opcode in ("call", "conditional", "async-start"):
            for called in instruction.called.values():
                for inner in called:
                    yield from inner_loops(module, inner)


def _loops_of(module: Module, computation: str, depth: int, large_bytes: int) -> Iterator[Loop]:
    for instruction in inner_loops(module, computation):
        (body,), (condition,) = instruction.called["body"], instruction.called["condition"]
        carried = {type_bytes(part) for part in instruction.parts if type_bytes(part) >= large_bytes}
        yield Loop(
            name=instruction.name,
            label=_label(module, instruction),
            trips=count_trips(module, computation, instruction),
            depth=depth,
            kernels=sum(1 for _ in launches(module, body)),
            carried_bytes=instruction.n_bytes,
            is_batched=any(inner.opcode == "reduce" for inner in module.walk(condition)),
            copies=tuple(_whole_copies(module, body, carried)),
        )
        yield from _loops_of(module, body, depth + 1, large_bytes)


def count_trips(module: Module, computation: str, loop: Instruction) -> int | None:
    """Get the number of steps of a loop: what the compiler says, or what a counter is compared with.

    Args:
        module: the program.
        computation: in which the loop stands.
        loop: the ``while``; its counter is taken to rise by one.

    Returns:
        The number, or None if it depends on data.
    """
    if loop.trips is not None:
        return loop.trips
    (condition,) = loop.called["condition"]
    root = module.root(condition)
    if root.opcode != "compare" or "direction=LT" not in root.attributes:
        return None
    inside = {instruction.name: instruction for instruction in module.computations[condition]}
    outside = {instruction.name: instruction for instruction in module.computations[computation]}
    start, end = (_constant(inside[name], outside, loop) for name in root.operands)
    return None if start is None or end is None else max(0, end - start)


def _constant(compared: Instruction, outside: dict[str, Instruction], loop: Instruction) -> int | None:
    """Get the value of a compared number if it, or what a loop starts with in its place, is a constant."""
    if compared.opcode == "get-tuple-element":
        carried = outside[loop.operands[0]]
        if carried.opcode != "tuple":
            return None
        compared = outside[carried.operands[compared.index]]
    while compared.opcode == "copy" and compared.operands[0] in outside:
        compared = outside[compared.operands[0]]
    return int(compared.arguments) if compared.opcode == "constant" else None


def _label(module: Module, loop: Instruction) -> str:
    """Name a loop by its line, unless that is the line that calls all kernels, or else by JAX's names."""
    lines = [line for line in module.source(loop) if "native/dispatch.py" not in line]
    if lines:
        place, _, function = lines[0].partition(" ")
        return f"{'/'.join(place.split('/')[-2:])} {function}"
    return loop.op_name or loop.name


def _whole_copies(module: Module, body: str, carried: set[int]) -> Iterator[WholeCopy]:
    """Find what writes all of a buffer of one of the sizes ``carried`` in a step."""
    instructions = list(launches(module, body))
    instructions += [i for i in module.computations[body] if i.opcode == "conditional"]
    for instruction in instructions:
        for part, cause in _written(module, instruction):
            if (n_bytes := type_bytes(part)) in carried and cause not in _IN_PLACE:
                yield WholeCopy(instruction.name, cause, n_bytes)


def _written(module: Module, instruction: Instruction) -> Iterator[tuple[str, str]]:
    """Go through the arrays that an operation writes: the type of each, and the operation that makes it."""
    if instruction.opcode == "copy-start":
        yield instruction.parts[0], "copy"
        return
    if instruction.opcode != "fusion":
        in_place = instruction.in_place
        for index, part in enumerate(instruction.parts):
            if index not in in_place:
                yield part, instruction.opcode
        return
    fused = {inner.name: inner for inner in module.computations[instruction.called["calls"][0]]}
    root = next(inner for inner in fused.values() if inner.is_root)
    outputs = [fused[name] for name in root.operands] if root.opcode == "tuple" else [root]
    for output in outputs:
        made = output
        while made.opcode in ("bitcast", "reshape") and made.operands[0] in fused:
            made = fused[made.operands[0]]
        if made.opcode == "fusion":
            yield from _written(module, made)
        else:
            yield output.type, made.opcode
