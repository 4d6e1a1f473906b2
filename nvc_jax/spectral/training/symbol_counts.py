"""Statistics of what the encoder codes: of sampled blocks, and of complete chunks."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from nvc_jax.entropy import tokens
from nvc_jax.entropy.interleaving import share_out
from nvc_jax.spectral import analysis, dependent_quantization, neighbour_contexts, quantization, scan_order
from nvc_jax.spectral.class_decision import quantize_independently
from nvc_jax.spectral.decision_tables import make_tables
from nvc_jax.spectral.entropy_model import EntropyModel, steps_of_single_quantizer
from nvc_jax.spectral.header_contexts import HeaderContexts, blocks_inside, find_header_contexts
from nvc_jax.spectral.profiles import Profiles, any_profile, count_profiles
from nvc_jax.spectral.scan_order import ScannedBlocks
from nvc_jax.spectral.training.chunks import ChunkLoader
from nvc_jax.training.mesh import divide_rows, map_over_devices, replicate
from nvc_jax.transform import block_layout
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS

_BLOCKS_AT_ONCE = 1024
"""Sampled blocks that one compiled call quantises: they fit in memory, and all calls share one program."""
_N_STEPS = 12
"""Steps at which each chunk is encoded, evenly spaced by their ratio.
No measurement of the value is on record."""
_BLOCKS_OF_VOLUME = 1e4
"""Blocks that each encoding of a volume counts as: volumes weigh the same, whatever their size."""


class CodedIntegers(NamedTuple):
    """Integers of sampled blocks that are coded, first ones left out; flat arrays.

    Attributes:
        rows: int (m,), of ``EntropyModel.reconstruction_offsets``.
        magnitudes: int (m,), of the integers.
        excess: float (m,), magnitude of the reconstruction point less that of the coefficient, in steps.
    """

    rows: np.ndarray
    magnitudes: np.ndarray
    excess: np.ndarray


def _quantize_samples(model: EntropyModel, values: jax.Array) -> tuple[jax.Array, ...]:
    """Quantise blocks given in steps of one quantiser: the fields of ``CodedIntegers``, and what is coded."""
    n = len(values)
    side = jnp.array([BLOCK_SIZE * n, BLOCK_SIZE, BLOCK_SIZE], jnp.int32)
    layout = block_layout.make_layout((n, 1, 1), side)
    tables = make_tables(model)
    _, classes, _ = quantize_independently(tables.costs, values)
    values = values / steps_of_single_quantizer(model)
    scan = scan_order.make_scan_order(model, layout)
    quantized = quantization.quantize(model, tables, scan, layout, values, classes)
    points = quantization.find_points(scan, layout, quantized)

    scanned = scan_order.scan_blocks(scan, layout, points)
    is_coded = jnp.arange(N_COEFFICIENTS - 1)[None] < scanned.counts[:, None]
    ordered = dependent_quantization.to_integers(scanned.ordered)
    quantizers = dependent_quantization.select_quantizers(ordered, model.n_quantizers)
    rows = model.table_row(model.tables[classes][:, model.order], quantizers)
    excess = jnp.abs(scanned.ordered).astype(jnp.float32) / 2 - jnp.abs(values[:, model.order])
    return rows, jnp.abs(ordered), excess, is_coded


def quantize_samples(model: EntropyModel, values: np.ndarray, mesh: Mesh) -> CodedIntegers:
    """Quantise sampled blocks, float32 (n, 512) in steps of one quantiser, as the encoder does.

    Every device of the mesh takes a part of the blocks.
    """
    quantize = map_over_devices(mesh, _quantize_samples)
    shared = replicate(mesh, jax.device_get(model))
    n_at_once = _BLOCKS_AT_ONCE * mesh.size
    parts = []
    for start in range(0, len(values), n_at_once):
        part = values[start : start + n_at_once]
        padded = np.pad(part, ((0, n_at_once - len(part)), (0, 0)))
        rows = divide_rows(mesh, padded.reshape(mesh.size, _BLOCKS_AT_ONCE, -1))
        *fields, is_coded = (
            np.asarray(x).reshape(n_at_once, -1)[: len(part)] for x in quantize(shared, (rows,))
        )
        parts.append([field[is_coded] for field in fields])
    return CodedIntegers(*(np.concatenate(x) for x in zip(*parts, strict=True)))


class Counts(NamedTuple):
    """Number of times that each token is coded by each table.

    Attributes:
        integers: (C, Q·R, 64), of all integers but first ones, by context and table; C is 1 for a model
            without contexts.
        first: (H, K, 64), of first integers, by context and class; H is 1 for a model without contexts of
            headers.
        ends_of_block: (K, 64), by class.
        classes: (H, K + 1, 64), by context and the class before.
    """

    integers: jax.Array
    first: jax.Array
    ends_of_block: jax.Array
    classes: jax.Array


def _count_chunk(
    profiles: Profiles, centered: jax.Array, valid_shape: jax.Array, step: jax.Array
) -> tuple[jax.Array, Counts]:
    """Encode a chunk without the entropy coding, and count its tokens; also return its profile."""
    transform = analysis.decide_shape(profiles, centered, step, valid_shape).shape
    volume = analysis.ShapedVolume(centered, step, valid_shape, jnp.int32(0), transform)
    analyzed = analysis.analyze(profiles, volume)
    model, layout, (points, first, classes) = analyzed.model, analyzed.layout, analyzed.symbols

    scan = analyzed.scan
    scanned = scan_order.scan_blocks(scan, layout, points)
    ordered = dependent_quantization.to_integers(scanned.ordered)
    is_coded = jnp.arange(N_COEFFICIENTS - 1)[None] < scanned.counts[:, None]
    tables = model.tables[classes[:, None], scan.coefficients[layout.partial_type]]
    rows = model.table_row(tables, dependent_quantization.select_quantizers(ordered, model.n_quantizers))
    contexts, of_headers = _find_contexts(analyzed, scanned), _find_header_contexts(analyzed)
    in_sequence = classes[layout.order]
    is_inside = jnp.arange(len(classes)) < layout.n_blocks

    def count(n_rows: int, row: jax.Array, token: jax.Array, is_counted: jax.Array) -> jax.Array:
        table = jnp.zeros((n_rows, tokens.N_TOKENS), jnp.int32)
        return table.at[row, token].add(is_counted.astype(jnp.int32))

    n_classes, n_contexts, n_shared = len(model.tables), model.n_contexts, model.n_shared
    of_integers = count(
        n_contexts * n_shared, contexts * n_shared + rows, tokens.to_token(ordered)[0], is_coded
    )
    n_headers, first_tokens = model.n_header_contexts, tokens.to_token(first[layout.order])[0]
    of_first = of_headers.of_first * n_classes + in_sequence
    of_classes = of_headers.of_class[1:] * (n_classes + 1) + in_sequence[:-1]
    return analyzed.profile, Counts(
        of_integers.reshape(n_contexts, n_shared, -1),
        count(n_headers * n_classes, of_first, first_tokens, is_inside).reshape(n_headers, n_classes, -1),
        count(n_classes, classes, scanned.ends_of_block, layout.inside),
        count(n_headers * (n_classes + 1), of_classes, in_sequence[1:], is_inside[1:]).reshape(
            n_headers, n_classes + 1, -1
        ),
    )


def _find_contexts(analyzed: analysis.Analysis, scanned: ScannedBlocks) -> jax.Array:
    """Find the contexts of all integers of a chunk's stream, int32 (n, 511); 0 without contexts."""
    if analyzed.model.context_rows is None:
        return jnp.int32(0)
    neighbours = neighbour_contexts.find_neighbours(analyzed.scan)
    position = jnp.arange(N_COEFFICIENTS - 1, dtype=jnp.int32)[None]
    item = (jnp.cumsum(scanned.counts, dtype=jnp.int32) - scanned.counts)[:, None] + position
    length = share_out(jnp.sum(scanned.counts, dtype=jnp.int32), analyzed.n_lanes, 1).length
    block = jnp.arange(len(scanned.counts), dtype=jnp.int32)[:, None]

    def read(other: jax.Array, is_known: jax.Array) -> jax.Array:
        return scanned.ordered[block, jnp.where(is_known, other, 0)]

    types = analyzed.layout.partial_type[:, None]
    return neighbour_contexts.find_contexts(neighbours, types, position, item % jnp.maximum(length, 1), read)


def _find_header_contexts(analyzed: analysis.Analysis) -> HeaderContexts:
    """Find the contexts of all headers of a chunk's stream, in the order of coding; 0 without contexts."""
    model, layout, (_, first, classes) = analyzed.model, analyzed.layout, analyzed.symbols
    place = jnp.arange(len(classes), dtype=jnp.int32)
    if model.class_levels is None:
        return HeaderContexts(jnp.zeros_like(place), jnp.zeros_like(place))
    length = share_out(layout.n_blocks, analyzed.n_lanes, 1).length

    def read(other: jax.Array, is_known: jax.Array) -> tuple[jax.Array, jax.Array]:
        block = layout.order[jnp.where(is_known, other, 0)]
        return classes[block], first[block]

    sides = blocks_inside(layout.valid_shape)
    return find_header_contexts(model.class_levels, sides, place, place % length, read)


Totals = list[np.ndarray]
"""Weighted sums of the arrays of ``Counts``, in their order, float64; profiles are the first axis."""


def no_counts(profiles: Profiles) -> Totals:
    """Make totals of no chunks."""
    model, n = any_profile(profiles), count_profiles(profiles)
    n_classes, n_headers = len(model.tables), model.n_header_contexts
    rows = (
        (model.n_contexts, model.n_shared),
        *((n_headers, n_classes), (n_classes,), (n_headers, n_classes + 1)),
    )
    return [np.zeros((n, *of_table, tokens.N_TOKENS)) for of_table in rows]


def count_chunks(
    profiles: Profiles, loader: ChunkLoader, totals: Totals, first: int, step_range: tuple[float, float]
) -> Iterator[tuple[int, Totals, dict[str, float]]]:
    """Count the tokens of chunks that the encoder encodes at many steps.

    Totals are added up chunk by chunk, so that they do not depend on the number of devices.

    Args:
        profiles: of the model.
        loader: of the chunks.
        totals: of the chunks before ``first``.
        first: number of the first chunk to count.
        step_range: smallest and largest step, of one quantiser.

    Yields:
        After every group of chunks: the number of chunks that are counted, the totals, and the fields of
        ``TimedItems.timing``.
    """
    steps = steps_of_single_quantizer(any_profile(profiles)) * np.geomspace(*step_range, _N_STEPS)
    count = map_over_devices(loader.mesh, _count_chunk)
    shared = replicate(loader.mesh, jax.device_get(dict(profiles)))
    groups = loader.groups(first)
    for group in groups:
        results = []
        for step in steps:
            rows = group.share(np.full(loader.mesh.size, step, np.float32))
            results.append(jax.device_get(count(shared, (group.centered, group.valid_shapes, *rows))))
        for i, number in enumerate(group.numbers):
            for chosen, counts in results:
                weight = _BLOCKS_OF_VOLUME * loader.chunks[number].weight / counts.ends_of_block[i].sum()
                for total, tokens_counted in zip(totals, counts, strict=True):
                    total[chosen[i]] += weight * tokens_counted[i].astype(np.float64)
        yield group.numbers.stop, totals, groups.timing()
