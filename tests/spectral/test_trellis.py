import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import layout_of_row

from nvc_jax.entropy import frequency_tables, tokens
from nvc_jax.spectral import scan_order, trellis, trellis_costs
from nvc_jax.spectral.entropy_model import EntropyModel, bits_per_squared_step
from nvc_jax.spectral.training.geometric import leave_rare_to_escape, token_probabilities
from nvc_jax.spectral.trellis_steps import TrellisBlocks, TrellisTables
from nvc_jax.transform.block_layout import N_COEFFICIENTS, BlockLayout

N_CLASSES, N_TABLES = 2, 2
P_NONZERO = np.array([0.3, 0.8, 0.45, 0.9])  # tables of the first quantiser, then of the second
DECAY = np.array([0.2, 0.6, 0.2, 0.6])


def make_model() -> EntropyModel:
    """Two quantisers; the classes differ in which coefficients are likely to be large."""
    rng = np.random.default_rng(0)
    tables = rng.integers(0, N_TABLES, (N_CLASSES, N_COEFFICIENTS))
    tables[:, 0] = 2 * N_TABLES + np.arange(N_CLASSES)
    shared = leave_rare_to_escape(token_probabilities(P_NONZERO, DECAY))
    rows = np.concatenate([shared, np.ones((N_CLASSES, tokens.N_TOKENS))])
    ones = jnp.asarray(np.ones((1, tokens.N_TOKENS), np.uint16))
    return EntropyModel(
        frequencies=jnp.asarray(frequency_tables.quantize_frequencies(rows)),
        bits=jnp.asarray(np.ones((N_TABLES, 3), np.float32)),
        reconstruction_offsets=jnp.asarray(np.zeros((2 * N_TABLES, 2), np.float32)),
        order=jnp.asarray(1 + rng.permutation(N_COEFFICIENTS - 1), jnp.int32),
        tables=jnp.asarray(tables, jnp.int32),
        end_frequencies=ones,
        class_frequencies=ones,
        class_bits=jnp.asarray(np.zeros(N_CLASSES, np.float32)),
    )


MODEL = make_model()
FREQUENCIES = np.asarray(MODEL.frequencies, np.float64)
MAX_MAGNITUDE = 3
"""Largest magnitude of integers that are tried."""
TOKENS = np.asarray(jax.jit(tokens.to_token)(np.arange(-MAX_MAGNITUDE, MAX_MAGNITUDE + 1, dtype=np.int32))[0])
"""Tokens of the integers from ``-MAX_MAGNITUDE`` on."""
BITS_PER_SQUARED_STEP = float(jax.jit(bits_per_squared_step)(MODEL))
# Compiled as a whole: one program for a shape takes less time than one for each operation.
quantize = jax.jit(trellis.quantize)
make_scan_order, make_rates = jax.jit(scan_order.make_scan_order), jax.jit(trellis_costs.make_rates)


def tables_for(layout: BlockLayout) -> TrellisTables:
    return TrellisTables(MODEL, make_scan_order(MODEL, layout), make_rates(MODEL))


def cost(values: np.ndarray, tables: np.ndarray, integers: tuple[int, ...], end: int) -> float:
    """Bits and error of a block's first coefficients, coded as ``integers`` up to an end."""
    total = 0.0
    for position, (value, table) in enumerate(zip(values, tables, strict=True)):
        quantizer = sum(integers[position - 1 :: -2]) % 2 if position else 0
        integer = integers[position] if position < end else 0
        point = integer - np.sign(integer) * quantizer / 2
        total += BITS_PER_SQUARED_STEP * (value - point) ** 2
        if position < end:
            frequency = FREQUENCIES[table + quantizer * N_TABLES, TOKENS[integer + MAX_MAGNITUDE]]
            total += frequency_tables.PRECISION - np.log2(frequency)
    return total


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_no_path_is_better(scale: float) -> None:
    """Against all integers up to ``MAX_MAGNITUDE`` of blocks of four coefficients that may be coded."""
    n, count = 8, 4
    rng = np.random.default_rng(int(10 * scale))
    values = np.zeros((n, N_COEFFICIENTS), np.float32)
    order, classes = np.asarray(MODEL.order), np.arange(n) % N_CLASSES
    coefficients = np.clip(rng.laplace(0, scale, (n, count)), -2.9, 2.9)
    values[:, order[:count]] = np.where(rng.random((n, count)) < 0.25, 0, coefficients)
    layout, counts = layout_of_row(n), jnp.full(n, count, jnp.int32)
    blocks = TrellisBlocks(jnp.asarray(classes, jnp.int32), layout.partial_type, counts)
    points = quantize(tables_for(layout), jnp.asarray(values), blocks)
    ordered = np.asarray(points)[:, order]
    assert not ordered[:, count:].any()
    for block in range(n):
        coefficients = values[block, order[:count]]
        tables = np.asarray(MODEL.tables)[classes[block], order[:count]]
        integers = tuple(int(np.sign(u) * (abs(u) + 1 >> 1)) for u in ordered[block, :count])
        for position, point in enumerate(ordered[block, :count]):
            expected = sum(integers[position - 1 :: -2]) % 2 if position and point else 0
            assert abs(point) % 2 == expected
        signs = np.where(coefficients < 0, -1, 1)
        paths = itertools.product(range(MAX_MAGNITUDE + 1), repeat=count)
        best = min(cost(coefficients, tables, tuple((signs * path).tolist()), count) for path in paths)
        empty = cost(coefficients, tables, (0,) * count, 0)
        end = count if any(integers) else 0
        # The encoder takes the bits of large magnitudes for geometric.
        assert cost(coefficients, tables, integers, end) <= min(best, empty) + 0.05


def test_blocks_do_not_depend_on_the_blocks_quantized_with_them() -> None:
    n = 300
    rng = np.random.default_rng(3)
    decreasing = 0.99 ** np.arange(N_COEFFICIENTS)
    values = jnp.asarray(rng.laplace(0, 1, (n, N_COEFFICIENTS)) * decreasing, jnp.float32)
    classes = jnp.asarray(rng.integers(0, N_CLASSES, n), jnp.int32)
    counts = jnp.asarray(rng.integers(0, N_COEFFICIENTS, n), jnp.int32)
    layout = layout_of_row(n)
    tables, blocks = tables_for(layout), TrellisBlocks(classes, layout.partial_type, counts)
    together = quantize(tables, values, blocks)
    apart = []
    for i in range(0, n, 37):
        of_one = TrellisBlocks(*(leaf[i : i + 1] for leaf in blocks))
        apart.append(quantize(tables, values[i : i + 1], of_one))
    np.testing.assert_array_equal(together[::37], jnp.concatenate(apart))
    assert np.asarray(together)[:, 1:].any()
    is_beyond = np.arange(511) >= np.asarray(counts)[:, None]
    assert not (np.asarray(together)[:, np.asarray(MODEL.order)] * is_beyond).any()


def test_huge_and_tiny_coefficients_keep_their_values() -> None:
    values = np.zeros((2, N_COEFFICIENTS), np.float32)
    values[0, np.asarray(MODEL.order)[:40]] = np.geomspace(1e-3, 30000, 40)
    layout = layout_of_row(2)
    blocks = TrellisBlocks(jnp.zeros(2, jnp.int32), layout.partial_type, jnp.array([48, 48], jnp.int32))
    points = quantize(tables_for(layout), jnp.asarray(values), blocks)
    is_large = values > 5
    assert np.abs(np.asarray(points)[is_large] / 2 - values[is_large]).max() <= 1
    assert not np.asarray(points)[1].any()


@pytest.mark.parametrize("scale", [0.3, 2.0, 50.0, 1e6])
def test_the_kernel_equals_the_reference(scale: float) -> None:
    n, rng = 300, np.random.default_rng(int(scale))
    values = rng.laplace(0, scale, (n, N_COEFFICIENTS)) * 0.99 ** np.arange(N_COEFFICIENTS)
    values[rng.random(values.shape) < 0.2] = 0
    layout = layout_of_row(n)
    classes = jnp.asarray(rng.integers(0, N_CLASSES, n), jnp.int32)
    counts = jnp.asarray(rng.integers(0, N_COEFFICIENTS, n), jnp.int32)
    blocks = TrellisBlocks(classes, layout.partial_type, counts)
    arguments = (tables_for(layout), jnp.asarray(values, jnp.float32), blocks)
    points = quantize(*arguments)
    reference = jax.jit(trellis.quantize_reference)(*arguments)
    np.testing.assert_array_equal(points, reference)
    assert np.asarray(points).any()
