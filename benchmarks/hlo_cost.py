"""Time of a compiled program, estimated from its text: kernels, bytes that they move, and a device's figures.

A kernel takes the time of the bytes that it reads and writes, and at least that of the device's shortest
kernel. A loop takes its steps times that of one step. Where the steps are driven by the host, each also waits
for it. This estimates memory-bound programs on an idle device: matrix products count by their bytes alone,
except where the compiler gives its own figure, in cycles.
"""

import dataclasses
from collections.abc import Set

from hlo_loops import count_trips, inner_loops, launches
from hlo_text import Instruction, Module, type_bytes

_PARTIAL_READS = {"dynamic-slice", "gather", "slice"}
"""Operations that read as much of their first operand as they return."""
_PARTIAL_KERNELS = {"_transform_column"}
"""Kernels of Pallas that read as much of their first operand, a volume, as their first result holds."""
_SPLIT_KERNELS = {"_multiply_plane", "_choose", "_quantize_group", "_push_group"}
"""Kernels of Pallas that keep numbers in two bytes, and those that do not fit in an array of four bytes of
the same shape: first coefficients and very large ones. Next to nothing of it is read or written."""
_RARELY_TOUCHED = {"f32": "s16", "s32": "s16"}
"""Dtypes of such arrays, and those of the arrays of two bytes."""
_SAME_BYTES = {"bitcast", "reshape", "copy"}
_ASYNCHRONOUS = {"copy-start", "slice-start"}
"""Copies whose result names both of their ends."""


@dataclasses.dataclass(frozen=True)
class Device:
    """Figures of a device.

    Attributes:
        name: of the device.
        bytes_per_second: of its memory.
        kernel_seconds: shortest time from one kernel to the next.
        host_step_seconds: time for which a step of a loop waits for the host, which reads the condition.
        cycles_per_second: of the compiler's estimates; None if it makes none.
    """

    name: str
    bytes_per_second: float
    kernel_seconds: float
    host_step_seconds: float
    cycles_per_second: float | None


DEVICES = {
    "cuda": Device("H100 SXM", 3.35e12, 2e-6, 10e-6, None),
    "tpu": Device("TPU v5e", 819e9, 1.2e-6, 0.0, 1.5e9),
}
"""Data sheets give the memory's speed. In chains of tiny kernels each takes 2 µs on an H100; on a v5e it is
the 1,820 cycles that the compiler gives the smallest fusion. A host takes some 10 µs to read a condition."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """Work of a program, or of a part of it.

    Attributes:
        kernels: launches, loops included.
        n_bytes: read and written.
        seconds: estimated.
    """

    kernels: int = 0
    n_bytes: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.kernels + other.kernels, self.n_bytes + other.n_bytes, self.seconds + other.seconds)

    def times(self, count: int) -> "Cost":
        """Get the work of ``count`` repetitions."""
        return Cost(self.kernels * count, self.n_bytes * count, self.seconds * count)


def program_cost(module: Module, device: Device, trips: dict[str, int]) -> dict[str, Cost]:
    """Estimate a program's work: that outside of loops that depend on data, and that of each such loop.

    Args:
        module: the program.
        device: that runs it.
        trips: steps of loops that depend on data, by their names; those that are missing count one step.

    Returns:
        Costs by the loop's name, the rest by ``""``.
    """
    costs = {"": Cost()}
    _add(module, module.entry, device, trips, 1, "", costs)
    return costs


def named_cost(module: Module, device: Device, names: Set[str]) -> Cost:
    """Estimate the work, outside of loops, of kernels of Pallas that have one of some names."""
    kernels = (inner for inner in launches(module, module.entry) if inner.kernel_name in names)
    return sum((kernel_cost(module, module.entry, kernel, device) for kernel in kernels), start=Cost())


def _add(
    module: Module,
    computation: str,
    device: Device,
    trips: dict[str, int],
    repeats: int,
    part: str,
    costs: dict[str, Cost],
) -> None:
    """Add the work of a computation that runs ``repeats`` times to a part of the program."""
    for instruction in launches(module, computation):
        costs[part] = costs[part] + kernel_cost(module, computation, instruction, device).times(repeats)
    for loop in inner_loops(module, computation):
        known = count_trips(module, computation, loop)
        of_loop = part
        if known is None and not part:
            of_loop = loop.name
            costs[of_loop] = Cost()
        steps = repeats * (trips.get(loop.name, 1) if known is None else known)
        if known is None:
            costs[of_loop] += Cost(seconds=steps * device.host_step_seconds)
        _add(module, loop.called["body"][0], device, trips, steps, of_loop, costs)


def kernel_cost(module: Module, computation: str, instruction: Instruction, device: Device) -> Cost:
    """Estimate one kernel."""
    n_bytes = _moved_bytes(module, computation, instruction)
    if device.cycles_per_second and instruction.cycles:
        seconds = instruction.cycles / device.cycles_per_second
        if instruction.opcode == "custom-call":  # whose cycles do not count those of moving memory
            seconds = max(seconds, n_bytes / device.bytes_per_second)
    else:
        seconds = max(device.kernel_seconds, n_bytes / device.bytes_per_second)
    return Cost(1, n_bytes, seconds)


def _moved_bytes(module: Module, computation: str, instruction: Instruction) -> int:
    """Count the bytes that a kernel reads and writes; of a buffer that it takes in part, the part."""
    if instruction.opcode in _ASYNCHRONOUS:
        return _copied_bytes(instruction)
    sizes = {inner.name: inner.n_bytes for inner in module.computations[computation]}
    if instruction.opcode != "fusion":
        if instruction.opcode in _PARTIAL_READS:
            return 2 * instruction.n_bytes
        if instruction.opcode in ("dynamic-update-slice", "scatter"):
            return 2 * sizes.get(instruction.operands[-1 if instruction.opcode == "scatter" else 1], 0)
        if instruction.kernel_name:
            return _bytes_of_kernel(module, computation, instruction)
        return instruction.n_bytes + sum(sizes.get(name, 0) for name in instruction.operands)
    fused = module.computations[instruction.called["calls"][0]]
    by_name = {inner.name: inner for inner in fused}
    reads = sum(_read_bytes(inner, fused) for inner in fused if inner.opcode == "parameter")
    root = module.root(instruction.called["calls"][0])
    outputs = [by_name[name] for name in root.operands] if root.opcode == "tuple" else [root]
    return reads + sum(_written_bytes(output, by_name) for output in outputs)


def _bytes_of_kernel(module: Module, computation: str, kernel: Instruction) -> int:
    """Count the bytes that a kernel of Pallas reads and writes."""
    types = {inner.name: inner.type for inner in module.computations[computation]}
    operands = [types[name].split("{")[0] for name in kernel.operands if name in types]
    arrays = {*operands, *kernel.parts}

    def is_touched(array: str) -> bool:
        dtype, _, shape = array.partition("[")
        is_split = kernel.kernel_name in _SPLIT_KERNELS
        return not is_split or f"{_RARELY_TOUCHED.get(dtype)}[{shape}" not in arrays

    read = [type_bytes(array) if is_touched(array) else 0 for array in operands]
    if kernel.kernel_name in _PARTIAL_KERNELS:
        read[0] = min(read[0], type_bytes(kernel.parts[0]))
    return sum(read) + sum(type_bytes(array) for array in kernel.parts if is_touched(array))


def _copied_bytes(start: Instruction) -> int:
    """Count the bytes that a copy moves, without those in a core's own memory, which layouts call S(1)."""
    ends = start.parts[:2]
    n_bytes = min(type_bytes(end) for end in ends)
    return n_bytes * max(1, 2 - start.type.count("S(1)"))


def _read_bytes(parameter: Instruction, fused: tuple[Instruction, ...]) -> int:
    """Count the bytes of a fusion's operand that are read: all, unless every use takes a part."""
    total, names = 0, {parameter.name}
    for inner in fused:
        if not names.intersection(inner.operands):
            continue
        if inner.opcode in _SAME_BYTES and not inner.is_root:
            names.add(inner.name)
        elif inner.opcode in _PARTIAL_READS and inner.operands[0] in names:
            total += inner.n_bytes
        elif inner.opcode not in ("dynamic-update-slice", "scatter") or inner.operands[0] not in names:
            return parameter.n_bytes
    return min(total, parameter.n_bytes)


def _written_bytes(output: Instruction, by_name: dict[str, Instruction]) -> int:
    made = output
    while made.opcode in _SAME_BYTES and made.operands[0] in by_name:
        made = by_name[made.operands[0]]
    if made.opcode == "dynamic-update-slice":
        return by_name[made.operands[1]].n_bytes
    if made.opcode == "scatter":
        return 2 * by_name[made.operands[-1]].n_bytes
    return output.n_bytes
