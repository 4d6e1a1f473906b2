"""Items of a stream: the flags of cells and the codes of points that are coded, in the order of coding."""

from typing import NamedTuple

import jax
import numpy as np

from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice import native_programs, programs
from nvc_jax.lattice.geometry import CELL, N_LEVELS, N_PASSES, PHASES, level_group, phase_shape, valid_sides
from nvc_jax.lattice.prediction import CONTEXTS_PER_GROUP, N_RANGES, Rules
from nvc_jax.lattice.tables import FIRST_FLAG_CONTEXT, N_CLASSES, N_CONTEXTS, class_of
from nvc_jax.native.dispatch import runs_kernels


class Items(NamedTuple):
    """Items of all passes, one after the other.

    Attributes:
        values: int32 (max_items,); behind the items anything.
        contexts: uint16 (max_items,); likewise.
        counts: int32 (MAX_PASSES,), items of each pass.
        histogram: int32 (N_CONTEXTS, N_CLASSES + 1), for each context its items by the class of their
            magnitude, and the negative ones.
    """

    values: jax.Array
    contexts: jax.Array
    counts: jax.Array
    histogram: np.ndarray


def find_items(
    lattice: Shape3,
    shape: Shape3,
    fixed: jax.Array | np.ndarray,
    valid: jax.Array | np.ndarray,
    anchors: np.ndarray,
    weights: np.ndarray,
    rules: Rules,
    *,
    by_kernel: bool | None = None,
) -> tuple[np.ndarray, Items]:
    """Quantise a volume and collect the items that are coded.

    Args:
        lattice: shape of the lattice.
        shape: of the volume.
        fixed: int32 lattice, as ``programs.quantize`` takes it and all further arguments.
        valid: bool lattice.
        anchors: int32 (z, y, x).
        weights: int32 (N_LEVEL_GROUPS, 7, N_GROUPS).
        rules: the other parameters of prediction.
        by_kernel: whether to use the kernel; by default where there is one.

    Returns:
        The decoded values, int32 lattice, and the items.
    """
    arguments = (fixed, valid, anchors, weights, rules)
    if runs_kernels() if by_kernel is None else by_kernel:
        limits = {"max_items": programs.max_items(lattice), "max_passes": programs.MAX_PASSES}
        decoded, values, contexts, counts, histogram = _quantize_by_kernel(*arguments, **limits)
        return np.asarray(decoded), Items(values, contexts, counts, np.asarray(histogram))
    decoded, outputs = programs.quantize(*arguments)
    arrays = [(np.asarray(codes), np.asarray(context)) for codes, context in outputs]
    return np.asarray(decoded), collect_items(arrays, shape, lattice)


_quantize_by_kernel = jax.jit(native_programs.quantize, static_argnames=("max_items", "max_passes"))


def collect_items(outputs: list, shape: Shape3, lattice: Shape3) -> Items:
    """Collect the items that are coded, in the order of coding.

    Args:
        outputs: of ``programs.quantize``: for each group of levels the codes and their contexts.
        shape: of the volume.
        lattice: shape of the lattice.
    """
    values, contexts, counts = [], [], []
    for level in reversed(range(N_LEVELS)):
        group = level_group(level)
        sides = phase_shape(lattice, level)
        cut = tuple(slice(0, side) for side in sides)
        codes, context = (array[-1 - (level - group)][:, *cut] for array in outputs[group])
        flags = _flags(codes)
        inside = np.kron(flags, np.ones((CELL,) * 3, bool))[cut]
        for index in range(N_PASSES):
            parity = PHASES[index - 1] if index else (0, 0, 0)
            step = 1 if index else CELL
            valid = valid_sides(shape, level, parity)
            box = tuple(slice(0, n, step) for n in valid)
            first = group * CONTEXTS_PER_GROUP if index else FIRST_FLAG_CONTEXT + group * N_RANGES
            found = codes[index][box] if index else flags[tuple(slice(0, -(-n // CELL)) for n in valid)]
            mask = inside[box] if index else np.ones(found.shape, bool)
            values.append(found[mask].astype(np.int32))
            contexts.append((context[index][box][mask] + first).astype(np.uint16))
            counts.append(len(values[-1]))
    all_values, all_contexts = np.concatenate(values), np.concatenate(contexts)
    widths = (0, programs.max_items(lattice) - len(all_values))
    padded_values, padded_contexts = (jax.device_put(np.pad(x, widths)) for x in (all_values, all_contexts))
    histogram = count_classes(all_values, all_contexts)
    return Items(padded_values, padded_contexts, jax.device_put(np.array(counts, np.int32)), histogram)


def count_classes(values: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    """Count items by context and class, int32: see ``Items.histogram``."""
    cells = contexts.astype(np.int64) * N_CLASSES + class_of(values)
    counts = np.bincount(cells, minlength=N_CONTEXTS * N_CLASSES).reshape(N_CONTEXTS, N_CLASSES)
    negative = np.bincount(contexts[values < 0], minlength=N_CONTEXTS)
    return np.column_stack([counts, negative]).astype(np.int32)


def _flags(codes: np.ndarray) -> np.ndarray:
    """Tell which cells have a code other than 0, bool (z, y, x), from codes (N_PASSES, z, y, x)."""
    nonzero = codes.any(0)
    nonzero = np.pad(nonzero, [(0, -side % CELL) for side in nonzero.shape])
    z, y, x = (side // CELL for side in nonzero.shape)
    return np.asarray(nonzero.reshape(z, CELL, y, CELL, x, CELL).any((1, 3, 5)))
