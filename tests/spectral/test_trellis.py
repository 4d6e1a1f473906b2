import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.entropy import frequency_tables, tokens
from nvc_jax.spectral import scan_order, trellis
from nvc_jax.spectral.entropy_model import BITS_PER_ERROR, EntropyModel, plain_steps
from nvc_jax.spectral.training.entropy_model import _token_probabilities, _with_escapes
from nvc_jax.transform import block_layout
from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS

N_CLASSES, N_TABLES = 2, 2
P_THERE = np.array([0.3, 0.8, 0.45, 0.9])  # tables of the first quantiser, then of the second
DECAY = np.array([0.2, 0.6, 0.2, 0.6])


def make_model() -> EntropyModel:
    """Two quantisers; the classes differ in which latents are loud."""
    rng = np.random.default_rng(0)
    tables = rng.integers(0, N_TABLES, (N_CLASSES, N_COEFFICIENTS))
    tables[:, 0] = 2 * N_TABLES + np.arange(N_CLASSES)
    shared = _with_escapes(_token_probabilities(P_THERE, DECAY))
    rows = np.concatenate([shared, np.ones((N_CLASSES, tokens.N_TOKENS))])
    ones = jnp.ones((1, tokens.N_TOKENS), jnp.uint16)
    return EntropyModel(
        frequencies=jnp.asarray(frequency_tables.quantize_frequencies(rows)),
        bits=jnp.ones((N_TABLES, 3), jnp.float32),
        shrink=jnp.zeros((2 * N_TABLES, 2), jnp.float32),
        order=jnp.asarray(1 + rng.permutation(N_COEFFICIENTS - 1), jnp.int32),
        tables=jnp.asarray(tables, jnp.int32),
        end_frequencies=ones,
        mode_frequencies=ones,
        class_frequencies=ones,
        class_bits=jnp.zeros(N_CLASSES, jnp.float32),
    )


MODEL = make_model()
quantize = jax.jit(trellis.quantize)


def cost(values: np.ndarray, tables: np.ndarray, integers: tuple[int, ...], end: int) -> float:
    """Bits and error of a block's first latents, coded as ``integers`` up to an end."""
    frequencies = np.asarray(MODEL.frequencies, np.float64)
    total = 0.0
    for place, (value, table) in enumerate(zip(values, tables, strict=True)):
        quantizer = sum(integers[place - 1 :: -2]) % 2 if place else 0
        integer = integers[place] if place < end else 0
        point = integer - np.sign(integer) * quantizer / 2
        total += BITS_PER_ERROR * plain_steps(MODEL) ** 2 * (value - point) ** 2
        if place < end:
            row = frequencies[table + quantizer * N_TABLES]
            token = int(tokens.to_token(jnp.int32(integer))[0])
            total += frequency_tables.PRECISION - np.log2(row[token])
    return total


def layout_of(n: int) -> block_layout.BlockLayout:
    return block_layout.make_layout((n, 1, 1), jnp.array([BLOCK_SIZE * n, BLOCK_SIZE, BLOCK_SIZE], jnp.int32))


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_no_way_is_better(scale: float) -> None:
    """Against all integers of magnitude up to 3 of blocks of four latents that may be coded."""
    n, count = 8, 4
    rng = np.random.default_rng(int(10 * scale))
    values = np.zeros((n, N_COEFFICIENTS), np.float32)
    order, classes = np.asarray(MODEL.order), np.arange(n) % N_CLASSES
    values[:, order[:count]] = np.clip(rng.laplace(0, scale, (n, count)), -2.9, 2.9)
    layout, counts = layout_of(n), jnp.full(n, count, jnp.int32)
    places = scan_order.make_scan_order(MODEL, layout)
    points = quantize(
        MODEL, places, layout.partial_type, jnp.asarray(values), jnp.asarray(classes, jnp.int32), counts
    )
    ordered = np.asarray(points)[:, order]
    assert not ordered[:, count:].any()
    for block in range(n):
        own, tables = values[block, order[:count]], np.asarray(MODEL.tables)[classes[block], order[:count]]
        found = tuple(int(np.sign(u) * (abs(u) + 1 >> 1)) for u in ordered[block, :count])
        for place, point in enumerate(ordered[block, :count]):
            assert abs(point) % 2 == (sum(found[place - 1 :: -2]) % 2 if place and point else 0)
        signs = np.where(own < 0, -1, 1)
        ways = itertools.product(range(4), repeat=count)
        best = min(cost(own, tables, tuple((signs * way).tolist()), count) for way in ways)
        empty = cost(own, tables, (0,) * count, 0)
        end = count if any(found) else 0
        # The encoder takes the bits of large magnitudes for geometric.
        assert cost(own, tables, found, end) <= min(best, empty) + 0.05


def test_results_do_not_depend_on_what_is_decided_together() -> None:
    n = 300
    rng = np.random.default_rng(3)
    values = jnp.asarray(
        rng.laplace(0, 1, (n, N_COEFFICIENTS)) * 0.99 ** np.arange(N_COEFFICIENTS), jnp.float32
    )
    classes = jnp.asarray(rng.integers(0, N_CLASSES, n), jnp.int32)
    counts = jnp.asarray(rng.integers(0, N_COEFFICIENTS, n), jnp.int32)
    layout = layout_of(n)
    places = scan_order.make_scan_order(MODEL, layout)
    together = quantize(MODEL, places, layout.partial_type, values, classes, counts)
    apart = [
        quantize(
            MODEL, places, layout.partial_type[:1], values[i : i + 1], classes[i : i + 1], counts[i : i + 1]
        )
        for i in range(0, n, 37)
    ]
    np.testing.assert_array_equal(together[::37], jnp.concatenate(apart))
    place = np.argsort(np.asarray(MODEL.order))
    np.testing.assert_array_equal(np.asarray(together)[:, 1:][:, place >= 0].any(), True)
    beyond = np.asarray(together)[:, np.asarray(MODEL.order)] * (
        np.arange(511) >= np.asarray(counts)[:, None]
    )
    assert not beyond.any()


def test_huge_and_tiny_latents_keep_their_values() -> None:
    values = np.zeros((2, N_COEFFICIENTS), np.float32)
    values[0, np.asarray(MODEL.order)[:40]] = np.geomspace(1e-3, 30000, 40)
    layout = layout_of(2)
    places = scan_order.make_scan_order(MODEL, layout)
    counts = jnp.array([48, 48], jnp.int32)
    points = quantize(
        MODEL, places, layout.partial_type, jnp.asarray(values), jnp.zeros(2, jnp.int32), counts
    )
    large = values > 5
    assert np.abs(np.asarray(points)[large] / 2 - values[large]).max() <= 1
    assert not np.asarray(points)[1].any()
