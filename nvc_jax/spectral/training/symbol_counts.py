"""Statistics of what the encoder codes: of sampled blocks, and of complete chunks."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy import tokens
from nvc_jax.spectral import dependent_quantization, encoder, scan_order
from nvc_jax.spectral.class_decision import make_decision_costs, quantize_independently
from nvc_jax.spectral.entropy_model import EntropyModel, steps_of_single_quantizer
from nvc_jax.spectral.profiles import Profiles, any_profile, count_profiles
from nvc_jax.spectral.training.samples import TrainingChunk
from nvc_jax.transform import block_layout
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS

_BLOCKS_AT_ONCE = 4096
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


@jax.jit
def _quantize_samples(model: EntropyModel, values: jax.Array) -> tuple[jax.Array, ...]:
    """Quantise blocks given in steps of one quantiser: the fields of ``CodedIntegers``, and what is coded."""
    n = len(values)
    side = jnp.array([BLOCK_SIZE * n, BLOCK_SIZE, BLOCK_SIZE], jnp.int32)
    layout = block_layout.make_layout((n, 1, 1), side)
    costs = make_decision_costs(model)
    _, classes, _ = quantize_independently(costs, values)
    values = values / steps_of_single_quantizer(model)
    points = encoder.quantize(model, costs, layout, values, classes)

    scan = scan_order.make_scan_order(model, layout)
    scanned = scan_order.scan_blocks(scan, layout, points)
    is_coded = jnp.arange(N_COEFFICIENTS - 1)[None] < scanned.counts[:, None]
    ordered = dependent_quantization.to_integers(scanned.ordered)
    quantizers = dependent_quantization.select_quantizers(ordered, model.n_quantizers)
    rows = model.table_row(model.tables[classes][:, model.order], quantizers)
    excess = jnp.abs(scanned.ordered).astype(jnp.float32) / 2 - jnp.abs(values[:, model.order])
    return rows, jnp.abs(ordered), excess, is_coded


def quantize_samples(model: EntropyModel, values: np.ndarray) -> CodedIntegers:
    """Quantise sampled blocks, float32 (n, 512) in steps of one quantiser, as the encoder does."""
    parts = []
    for start in range(0, len(values), _BLOCKS_AT_ONCE):
        part = values[start : start + _BLOCKS_AT_ONCE]
        padded = np.pad(part, ((0, _BLOCKS_AT_ONCE - len(part)), (0, 0)))
        *fields, is_coded = (np.asarray(x) for x in _quantize_samples(model, jnp.asarray(padded)))
        parts.append([field[is_coded] for field in fields])
    return CodedIntegers(*(np.concatenate(x) for x in zip(*parts, strict=True)))


class Counts(NamedTuple):
    """Number of times that each token is coded by each table.

    Attributes:
        tokens: (Q·R + K, 64), by table, as ``EntropyModel.frequencies``.
        ends_of_block: (K, 64), by class.
        classes: (K + 1, 64), by the class before.
    """

    tokens: jax.Array
    ends_of_block: jax.Array
    classes: jax.Array


@jax.jit
def _count_chunk(
    profiles: Profiles, centered: jax.Array, valid_shape: jax.Array, step: jax.Array
) -> tuple[jax.Array, Counts]:
    """Encode a chunk without the entropy coding, and count its tokens; also return its profile."""
    analysis = encoder.analyze(profiles, centered, step, valid_shape, jnp.int32(0))
    model, layout, (points, first, classes) = analysis.model, analysis.layout, analysis.symbols

    scan = scan_order.make_scan_order(model, layout)
    scanned = scan_order.scan_blocks(scan, layout, points)
    ordered = dependent_quantization.to_integers(scanned.ordered)
    is_coded = jnp.arange(N_COEFFICIENTS - 1)[None] < scanned.counts[:, None]
    tables = model.tables[classes[:, None], scan.coefficients[layout.partial_type]]
    rows = model.table_row(tables, dependent_quantization.select_quantizers(ordered, model.n_quantizers))
    first_rows = model.tables[classes, 0]
    in_sequence = classes[layout.order]
    has_next = jnp.arange(1, len(classes)) < layout.n_blocks

    def count(like: jax.Array, row: jax.Array, token: jax.Array, is_counted: jax.Array) -> jax.Array:
        table = jnp.zeros((like.shape[0], tokens.N_TOKENS), jnp.int32)
        return table.at[row, token].add(is_counted.astype(jnp.int32))

    return analysis.profile, Counts(
        count(model.frequencies, rows, tokens.to_token(ordered)[0], is_coded)
        + count(model.frequencies, first_rows, tokens.to_token(first)[0], layout.inside),
        count(model.end_frequencies, classes, scanned.ends_of_block, layout.inside),
        count(model.class_frequencies, in_sequence[:-1], in_sequence[1:], has_next),
    )


def count_chunks(
    profiles: Profiles, chunks: Sequence[TrainingChunk], step_range: tuple[float, float]
) -> list[list[np.ndarray]]:
    """Count the tokens of chunks that the encoder encodes at many steps.

    Args:
        profiles: of the model.
        chunks: from ``samples.cut_chunks``.
        step_range: smallest and largest step, of one quantiser.

    Returns:
        For every profile float64 arrays in the order of ``Counts``.
    """
    model = any_profile(profiles)
    tables = (model.frequencies, model.end_frequencies, model.class_frequencies)
    totals = [[np.zeros(table.shape) for table in tables] for _ in range(count_profiles(profiles))]
    for chunk in chunks:
        centered, valid_shape, _ = chunk
        for step in steps_of_single_quantizer(model) * np.geomspace(*step_range, _N_STEPS):
            profile, counts = _count_chunk(profiles, centered, valid_shape, jnp.float32(step))
            weight = _BLOCKS_OF_VOLUME * chunk.weight / float(jnp.sum(counts.ends_of_block))
            for total, count in zip(totals[int(profile)], counts, strict=True):
                total += weight * np.asarray(count, np.float64)
    return totals
