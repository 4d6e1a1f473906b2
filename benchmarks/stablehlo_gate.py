"""Search of a lowered program for what is slow on an accelerator, or impossible there; no compiler is needed.

- float64, which accelerators lack or run slowly;
- callbacks to the host;
- in the steps of loops, a ``case``, ``if`` or ``select`` that chooses between a large buffer which the loop
  carries and another: compilers copy it at every step, and the time grows with the square of the volume;
- loops whose condition reduces a vector. They come from ``jax.vmap`` of a loop whose number of steps depends
  on data, and select all that they carry at every step.

What only a compiler decides, such as copies around an update in place, is found by ``hlo_loops``.
"""

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Any

from jax.extend.mlir import ir

_UPDATES = {"stablehlo.dynamic_update_slice", "stablehlo.scatter", "stablehlo.optimization_barrier"}
"""Operations whose result is their first operand, updated in place."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """A part of a program that is slow on, or impossible for, an accelerator.

    Attributes:
        rule: ``float64``, ``callback``, ``choice in a loop`` or ``vector condition``.
        operation: such as ``stablehlo.select``.
        detail: the type of the result, or the name of the target.
        place: lines of the source, innermost first.
    """

    rule: str
    operation: str
    detail: str
    place: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.operation} {self.detail} at {self.place}"


def find_hazards(module: Any, large_bytes: int) -> list[Finding]:
    """Find what must not be in a program.

    Args:
        module: from ``jax.stages.Lowered.compiler_ir("stablehlo")``.
        large_bytes: size from which a buffer counts as one that grows with the volume.
    """
    functions = {operation.attributes["sym_name"].value: operation for operation in module.body.operations}
    found: dict[Finding, None] = {}
    for function in functions.values():
        for operation in _walk(function):
            found.update(dict.fromkeys(_forbidden_anywhere(operation)))
            if operation.name == "stablehlo.while":
                condition, body = operation.regions
                found.update(dict.fromkeys(_vector_conditions(operation, condition, functions)))
                large = {value for value in body.blocks[0].arguments if _n_bytes(value.type) >= large_bytes}
                step = _Step(functions, large, _place(operation))
                found.update(dict.fromkeys(step.choices(body)))
    return list(found)


def count_steps(module: Any) -> int:
    """Count the steps of all loops, inner ones as often as they run; numbers that depend on data count 1."""
    functions = {operation.attributes["sym_name"].value: operation for operation in module.body.operations}
    return _steps_of(functions["main"].regions[0], functions)


def _steps_of(region: Any, functions: dict[str, Any]) -> int:
    total = 0
    for block in region.blocks:
        for inner in block.operations:
            operation = inner.operation
            if operation.name == "stablehlo.while":
                condition, body = operation.regions
                total += _constant_steps(condition) * (1 + _steps_of(body, functions))
            elif operation.name == "func.call":
                called = functions[operation.attributes["callee"].value]
                total += _steps_of(called.regions[0], functions)
            else:
                total += sum(_steps_of(nested, functions) for nested in operation.regions)
    return total


def _constant_steps(condition: Any) -> int:
    """Number with which a condition compares a counter, which starts at 0; 1 if it is not constant."""
    operations = [inner.operation for inner in condition.blocks[0].operations]
    constants = [operation for operation in operations if operation.name == "stablehlo.constant"]
    if [operation.name for operation in operations if operation not in constants] != [
        "stablehlo.compare",
        "stablehlo.return",
    ]:
        return 1
    values = [re.search(r"dense<(\d+)> : tensor<i32>", str(constant)) for constant in constants]
    return int(values[0][1]) if len(values) == 1 and values[0] else 1


@dataclasses.dataclass(frozen=True)
class _Step:
    """A step of a loop, in which the buffers that it carries are followed.

    Attributes:
        functions: of the module, by name.
        carried: values that are a carried buffer, or one that was updated in place.
        place: of the loop, or of the call through which a function was entered.
    """

    functions: dict[str, Any]
    carried: set[Any]
    place: str

    def choices(self, region: Any) -> Iterator[Finding]:
        """Go through the operations that choose between a carried buffer and another."""
        for block in region.blocks:
            for inner in block.operations:
                operation = inner.operation
                yield from self._of_operation(operation)

    def _of_operation(self, operation: Any) -> Iterator[Finding]:
        followed = [index for index, value in enumerate(operation.operands) if value in self.carried]
        if operation.name in _UPDATES and 0 in followed:
            self.carried.update(operation.results)
        elif operation.name == "stablehlo.select" and followed:
            yield self._finding(operation, operation.results[0])
        elif operation.name == "func.call":
            yield from self._of_call(operation, followed)
        elif operation.name == "stablehlo.while":
            self.carried.update(operation.regions[1].blocks[0].arguments[index] for index in followed)
            self.carried.update(operation.results[index] for index in followed)
            yield from self.choices(operation.regions[1])
        elif operation.name in ("stablehlo.case", "stablehlo.if"):
            for branch in operation.regions:
                yield from self.choices(branch)
                returned = branch.blocks[0].operations[len(branch.blocks[0].operations) - 1].operands
                for value, result in zip(returned, operation.results, strict=True):
                    if value in self.carried:
                        yield self._finding(operation, result)
                        self.carried.add(result)

    def _of_call(self, call: Any, followed: list[int]) -> Iterator[Finding]:
        (block,) = self.functions[call.attributes["callee"].value].regions[0].blocks
        inner = _Step(
            self.functions, {block.arguments[index] for index in followed}, _place(call) or self.place
        )
        yield from inner.choices(self.functions[call.attributes["callee"].value].regions[0])
        returned = block.operations[len(block.operations) - 1].operands
        for value, result in zip(returned, call.results, strict=True):
            if value in inner.carried:
                self.carried.add(result)

    def _finding(self, operation: Any, result: Any) -> Finding:
        return Finding("choice in a loop", operation.name, str(result.type), _place(operation) or self.place)


def _walk(operation: Any) -> Iterator[Any]:
    for region in operation.regions:
        for block in region.blocks:
            for inner in block.operations:
                yield inner.operation
                yield from _walk(inner.operation)


def _forbidden_anywhere(operation: Any) -> Iterator[Finding]:
    for value in operation.results:
        if "f64" in str(value.type):
            yield Finding("float64", operation.name, str(value.type), _place(operation))
    if operation.name == "stablehlo.custom_call":
        target = operation.attributes["call_target_name"].value
        if "callback" in target:
            yield Finding("callback", operation.name, target, _place(operation))
    elif operation.name in ("stablehlo.infeed", "stablehlo.outfeed", "stablehlo.send", "stablehlo.recv"):
        yield Finding("callback", operation.name, "", _place(operation))


def _vector_conditions(loop: Any, region: Any, functions: dict[str, Any]) -> Iterator[Finding]:
    """Find reductions in a condition, also in the functions that it calls."""
    for block in region.blocks:
        for inner in block.operations:
            operation = inner.operation
            if operation.name == "stablehlo.reduce":
                detail = str(operation.operands[0].type)
                yield Finding("vector condition", operation.name, detail, _place(loop))
            elif operation.name == "func.call":
                called = functions[operation.attributes["callee"].value].regions[0]
                yield from _vector_conditions(loop, called, functions)


def _n_bytes(type_: Any) -> int:
    """Size of a tensor in bytes; 0 for anything else."""
    if not isinstance(type_, ir.RankedTensorType):
        return 0
    return math.prod(type_.shape) * getattr(type_.element_type, "width", 8) // 8


def _place(operation: Any) -> str:
    """Lines of the source behind an operation, innermost first; empty if there are none.

    Those of ``native.dispatch`` are left out: all kernels are called there.
    """
    places = re.findall(r'/(\w+/\w+\.py)":(\d+)', str(operation.location))
    return ", ".join(f"{file}:{line}" for file, line in places[:4] if file != "native/dispatch.py")
