"""Parser of optimised HLO: computations, instructions, their sizes, what calls what, and lines of source.

The text is what ``jax.stages.Compiled.as_text`` returns; it says after all of the compiler's passes what a
device will run. ``parse`` reads the parts that ``hlo_loops`` and ``hlo_cost`` look at.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator

_BITS = {"pred": 8, "bf16": 16, "token": 0, "opaque": 0, "c64": 64, "c128": 128}
_ARRAY = re.compile(r"\b([a-z][a-z0-9]*)\[([\d,<= ]*)\]")
_INSTRUCTION = re.compile(r"^\s+(?P<root>ROOT )?%?(?P<name>[\w.\-]+) = ")
_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{$")
_OPCODE = re.compile(r"\s*(?P<opcode>[a-z][\w\-]*)\(")
_CALLED = re.compile(
    r"\b(calls|body|condition|to_apply|branch_computations|true_computation|false_computation)="
)
_NAME = re.compile(r"%([\w.\-]+)")


@dataclasses.dataclass(frozen=True)
class Instruction:
    """An operation of a computation.

    Attributes:
        name: in the module.
        opcode: such as ``fusion``.
        type: of the result, as written.
        operands: names of instructions of the same computation.
        arguments: what stands between the parentheses, such as the value of a ``constant``.
        called: names of computations, by the attribute that names them, such as ``body``.
        attributes: what stands behind the operands.
        is_root: whether the computation returns the result.
    """

    name: str
    opcode: str
    type: str
    operands: tuple[str, ...]
    arguments: str
    called: dict[str, tuple[str, ...]]
    attributes: str
    is_root: bool

    @functools.cached_property
    def n_bytes(self) -> int:
        """Size of the result, of all parts of a tuple."""
        return type_bytes(self.type)

    @property
    def parts(self) -> tuple[str, ...]:
        """Types of the arrays of which the result is made."""
        return tuple(found[0] for found in _ARRAY.finditer(self.type))

    @property
    def trips(self) -> int | None:
        """Number of steps of a ``while`` if the compiler knows it."""
        found = re.search(r'"known_trip_count":\{"n":"(\d+)"', self.attributes)
        return int(found[1]) if found else None

    @property
    def op_name(self) -> str | None:
        """Path of names that JAX gives, such as ``jit(encode)/while/body/add``."""
        found = re.search(r'op_name="([^"]*)"', self.attributes)
        return found[1] if found else None

    @property
    def cycles(self) -> int | None:
        """Cycles that the compiler for TPUs estimates."""
        found = re.search(r'"estimated_cycles":"(\d+)"', self.attributes)
        return int(found[1]) if found else None

    @property
    def index(self) -> int:
        """Number of the part that a ``get-tuple-element`` takes."""
        found = re.search(r"index=(\d+)", self.attributes)
        return int(found[1]) if found else 0

    @property
    def kernel_name(self) -> str | None:
        """Name of the function that a kernel of Pallas was made of."""
        found = re.search(r'\bname = "(\w+)", num_stages', self.attributes)
        return found[1] if found else None

    @property
    def in_place(self) -> frozenset[int]:
        """Indices of the results that a ``custom-call`` writes in the place of operands."""
        found = re.search(r"output_to_operand_aliasing=\{(.*?\))\}", self.attributes)
        results = re.findall(r"\{(\d*)\}: \(", found[1]) if found else []
        return frozenset(int(index or 0) for index in results)

    @property
    def target(self) -> str | None:
        """Name of what a ``custom-call`` calls."""
        found = re.search(r'custom_call_target="([^"]*)"', self.attributes)
        return found[1] if found else None


@dataclasses.dataclass(frozen=True)
class Module:
    """A compiled program.

    Attributes:
        computations: instructions in order, by the computation's name.
        entry: name of the computation that is the program.
        frames: lines of source, ``file:line function`` from the inside out, by the number of a stack frame.
    """

    computations: dict[str, tuple[Instruction, ...]]
    entry: str
    frames: dict[int, tuple[str, ...]]

    def walk(self, name: str, *, into_fusions: bool = True) -> Iterator[Instruction]:
        """Go through the instructions of a computation and of all that it calls, at any depth."""
        for instruction in self.computations[name]:
            yield instruction
            if instruction.opcode == "fusion" and not into_fusions:
                continue
            for called in instruction.called.values():
                for inner in called:
                    yield from self.walk(inner, into_fusions=into_fusions)

    def root(self, name: str) -> Instruction:
        """Get the instruction whose result a computation returns."""
        return next(instruction for instruction in self.computations[name] if instruction.is_root)

    def source(self, instruction: Instruction) -> tuple[str, ...]:
        """Get the lines of source of an instruction, the innermost first; none if they are not known."""
        found = re.search(r"stack_frame_id=(\d+)", instruction.attributes)
        return self.frames.get(int(found[1]), ()) if found else ()


def type_bytes(text: str) -> int:
    """Get the size of a type, an array or a tuple of arrays, in bytes, without padding."""
    total = 0
    for dtype, sides in _ARRAY.findall(text):
        bits = _BITS.get(dtype)
        if bits is None:
            width = re.search(r"\d+", dtype)
            bits = int(width[0]) if width else 0
        lengths = [int(side.strip("<= ")) for side in sides.split(",") if side.strip("<= ")]
        total += -(-math.prod(lengths) * bits // 8)
    return total


def parse(text: str) -> Module:
    """Parse the text of a module.

    Raises:
        ValueError: there is no entry computation.
    """
    computations: dict[str, tuple[Instruction, ...]] = {}
    instructions: list[Instruction] = []
    entry, name = None, None
    for line in text.splitlines():
        if found := _COMPUTATION.match(line):
            name, instructions = found["name"], []
            entry = name if found["entry"] else entry
        elif line == "}" and name is not None:
            computations[name], name = tuple(instructions), None
        elif name is not None and (instruction := _parse_instruction(line)):
            instructions.append(instruction)
    if entry is None:
        raise ValueError("`text` has no ENTRY computation: pass the text of an HLO module")
    return Module(computations, entry, _parse_frames(text))


def _parse_instruction(line: str) -> Instruction | None:
    head = _INSTRUCTION.match(line)
    if not head:
        return None
    start = head.end()
    # A type is a tuple in parentheses, or one word, which has no blank.
    end = _closing(line, start) + 1 if line[start] == "(" else line.index(" ", start)
    opcode = _OPCODE.match(line, end)
    if not opcode:
        return None
    behind = _closing(line, opcode.end() - 1)
    arguments, attributes = line[opcode.end() : behind], line[behind + 1 :]
    return Instruction(
        name=head["name"],
        opcode=opcode["opcode"],
        type=line[start:end],
        operands=tuple(_NAME.findall(arguments)),
        arguments=arguments,
        called=_called(attributes),
        attributes=attributes,
        is_root=bool(head["root"]),
    )


def _closing(line: str, start: int) -> int:
    """Find the parenthesis that closes the one at ``start``."""
    depth = 0
    for index in range(start, len(line)):
        depth += (line[index] == "(") - (line[index] == ")")
        if not depth:
            return index
    raise ValueError(f"a parenthesis is not closed in {line[:120]!r}")


def _called(attributes: str) -> dict[str, tuple[str, ...]]:
    called = {}
    for found in _CALLED.finditer(attributes):
        rest = attributes[found.end() :]
        named = rest.split("}" if rest.startswith("{") else ",", maxsplit=1)[0]
        called[found[1]] = tuple(_NAME.findall(named))
    return called


def _parse_frames(text: str) -> dict[int, tuple[str, ...]]:
    """Resolve the tables of files, functions, places and frames in the head of a module."""
    head = text[: text.find("\n%")]
    files, functions = (
        {int(number): value for number, value in re.findall(r'^(\d+) "(.*)"$', _section(head, title), re.M)}
        for title in ("FileNames", "FunctionNames")
    )
    place = r"^(\d+) \{file_name_id=(\d+) function_name_id=(\d+) line=(\d+)"
    places = {
        int(number): f"{files[int(file)]}:{line} {functions[int(function)]}"
        for number, file, function, line in re.findall(place, _section(head, "FileLocations"), re.M)
    }
    parents = {
        int(number): (int(place), int(parent))
        for number, place, parent in re.findall(
            r"^(\d+) \{file_location_id=(\d+) parent_frame_id=(\d+)", _section(head, "StackFrames"), re.M
        )
    }
    return {number: tuple(_chain(number, parents, places)) for number in parents}


def _section(head: str, title: str) -> str:
    found = re.search(rf"^{title}\n(.*?)(?:\n\n|\Z)", head, re.M | re.S)
    return found[1] if found else ""


def _chain(number: int, parents: dict[int, tuple[int, int]], places: dict[int, str]) -> Iterator[str]:
    while number in parents:
        place, parent = parents[number]
        yield places[place]
        if parent == number:
            return
        number = parent
