"""Entropy models with simple tables, and blocks of integers, for tests of the modules that code them."""

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.entropy import frequency_tables
from nvc_jax.entropy import tokens as tokens_module
from nvc_jax.spectral import dependent_quantization, group_coefficients, scan_order
from nvc_jax.spectral.bitstream import BlockSymbols
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.header_contexts import N_HEADER_CONTEXTS, N_LEVELS
from nvc_jax.spectral.neighbour_contexts import N_CONTEXTS
from nvc_jax.transform import block_layout
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS

# Compiled as a whole: one program for a shape takes less time than one for each operation. While tests are
# collected nothing is compiled.
make_layout = jax.jit(block_layout.make_layout, static_argnums=0)
to_token = jax.jit(tokens_module.to_token)
positions_by_partial_type = jax.jit(block_layout.positions_by_partial_type)

N_CLASSES, N_TABLES = 4, 3
DECAY = np.array([0.05, 0.5, 0.9])
"""Decay of the geometric distributions of the tables of the first quantiser."""


def make_model(n_quantizers: int) -> EntropyModel:
    """A model whose tables have a trace of every token; those of a second quantiser are in reverse."""
    rng = np.random.default_rng(0)
    values = np.arange(-60000, 60001)
    tokens = np.asarray(to_token(jnp.asarray(values, jnp.int32))[0])
    weights = DECAY[:, None] ** np.abs(values)[None]
    probabilities = 1e-4 + np.stack([np.bincount(tokens, row, tokens_module.N_TOKENS) for row in weights])
    tables = np.minimum(np.arange(N_CLASSES)[:, None], 2) * np.ones((1, N_COEFFICIENTS), int)
    tables[:, N_COEFFICIENTS // 2 :] = np.maximum(tables[:, N_COEFFICIENTS // 2 :] - 1, 0)
    tables[:, 0] = n_quantizers * N_TABLES + np.arange(N_CLASSES)

    def uniform(rows: int, n_tokens: int) -> jax.Array:
        table = np.ones((rows, 1)) * (np.arange(tokens_module.N_TOKENS) < n_tokens)
        return jnp.asarray(frequency_tables.quantize_frequencies(table))

    first_tables = np.repeat(probabilities[2:], N_CLASSES, axis=0)
    shared = [probabilities, probabilities[::-1]][:n_quantizers]
    frequencies = frequency_tables.quantize_frequencies(np.concatenate([*shared, first_tables]))
    return EntropyModel(
        frequencies=jnp.asarray(frequencies),
        bits=jnp.asarray(np.ones((N_TABLES, 3), np.float32)),
        reconstruction_offsets=jnp.asarray(np.zeros((n_quantizers * N_TABLES, 2), np.float32)),
        order=jnp.asarray(1 + rng.permutation(N_COEFFICIENTS - 1), jnp.int32),
        tables=jnp.asarray(tables, jnp.int32),
        end_frequencies=uniform(N_CLASSES, scan_order.N_ENDS_OF_BLOCK),
        class_frequencies=uniform(N_CLASSES + 1, N_CLASSES),
        class_bits=jnp.asarray(np.full(N_CLASSES, 2, np.float32)),
    )


def add_contexts(model: EntropyModel) -> EntropyModel:
    """The same model with contexts, of which each exchanges tables in its own way."""
    rows = np.random.default_rng(1).integers(0, model.n_shared, (N_CONTEXTS, model.n_shared))
    return model._replace(context_rows=jnp.asarray(rows, jnp.int32))


def add_header_contexts(model: EntropyModel) -> EntropyModel:
    """The same model with contexts of headers, each of which has tables of its own choice."""
    rng = np.random.default_rng(2)
    weights = np.zeros((N_CLASSES - 1, tokens_module.N_TOKENS))
    weights[:, :N_CLASSES] = 0.1 + rng.random((N_CLASSES - 1, N_CLASSES))
    further = jnp.asarray(frequency_tables.quantize_frequencies(weights))
    class_rows = rng.integers(0, 2 * N_CLASSES, (N_HEADER_CONTEXTS, N_CLASSES + 1))
    first_rows = model.n_shared + rng.integers(0, N_CLASSES, (N_HEADER_CONTEXTS, N_CLASSES))
    return model._replace(
        class_frequencies=jnp.concatenate([model.class_frequencies, further]),
        class_levels=jnp.asarray(rng.integers(0, N_LEVELS, N_CLASSES), jnp.int32),
        class_rows=jnp.asarray(class_rows, jnp.int32),
        first_rows=jnp.asarray(first_rows, jnp.int32),
    )


MODELS = {n: make_model(n) for n in (1, 2)}
"""Models by their number of quantisers."""
MODEL = MODELS[2]
CONTEXT_MODELS = {n: add_contexts(model) for n, model in MODELS.items()}
"""The same with contexts of integers."""
HEADER_MODELS = {n: add_header_contexts(model) for n, model in CONTEXT_MODELS.items()}
"""The same with contexts of headers as well."""


def layout_for(shape: Shape3, valid_shape: Shape3) -> block_layout.BlockLayout:
    return make_layout(grid_shape(shape, BLOCK_SIZE), jnp.array(valid_shape, jnp.int32))


def layout_of_row(n: int) -> block_layout.BlockLayout:
    """The layout of a volume of n complete blocks, one after the other along z."""
    return layout_for((BLOCK_SIZE * n, BLOCK_SIZE, BLOCK_SIZE), (BLOCK_SIZE * n, BLOCK_SIZE, BLOCK_SIZE))


@jax.jit
def quantizers_of(model: EntropyModel, layout: block_layout.BlockLayout, integers: jax.Array) -> jax.Array:
    """The quantiser of each integer, in the order of coefficients; 0 for first ones."""
    scan = scan_order.make_scan_order(model, layout)
    ordered = scan_order.to_scan_order(scan, layout, integers)
    quantizers = dependent_quantization.select_quantizers(ordered, model.n_quantizers)
    position = scan.positions[layout.partial_type]
    return jnp.where(position < 0, 0, jnp.take_along_axis(quantizers, jnp.maximum(position, 0), axis=1))


@jax.jit
def split_coefficients(values: jax.Array) -> group_coefficients.SplitCoefficients:
    """The parts in which GPUs store coefficients, float32 (n, 512)."""
    coefficients = jnp.arange(N_COEFFICIENTS, dtype=jnp.int32)[:, None]
    return group_coefficients.split(jnp.broadcast_to(coefficients, values.T.shape), values.T)


def points_of(model: EntropyModel, layout: block_layout.BlockLayout, integers: np.ndarray) -> jax.Array:
    """The reconstruction points of integers in half steps; 0 for first ones."""
    return _points_of(model, layout, jnp.asarray(integers, jnp.int32))


@jax.jit
def _points_of(model: EntropyModel, layout: block_layout.BlockLayout, values: jax.Array) -> jax.Array:
    points = dependent_quantization.to_points(values, quantizers_of(model, layout, values))
    return points.at[:, 0].set(0)


def random_symbols(
    layout: block_layout.BlockLayout, scale: int, seed: int, model: EntropyModel = MODEL
) -> BlockSymbols:
    """Symbols as an encoder might make them: blocks of all lengths, no integers where nothing exists."""
    rng = np.random.default_rng(seed)
    n = len(layout.partial_type)
    integers = rng.integers(-scale, scale + 1, (n, N_COEFFICIENTS))
    exists_by_type = np.asarray(positions_by_partial_type(layout.valid_shape))
    exists = exists_by_type[np.asarray(layout.partial_type)]
    cut = rng.choice([0, 1, 15, 16, 17, 100, 511], n)
    order = np.concatenate([[0], np.asarray(MODEL.order)])
    position = np.argsort(order)
    integers = np.where(exists & (position[None] <= cut[:, None]), integers, 0)
    arrays = (points_of(model, layout, integers), integers[:, 0], rng.integers(0, N_CLASSES, n))
    return BlockSymbols(*(jnp.asarray(x, jnp.int32) for x in arrays))
