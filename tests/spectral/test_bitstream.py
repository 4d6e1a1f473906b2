import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.entropy import frequency_tables
from nvc_jax.entropy import tokens as tokens_module
from nvc_jax.entropy.interleaving import CPU_WIDTHS, max_lanes_for
from nvc_jax.spectral import bitstream, dependent_quantization, scan_order
from nvc_jax.spectral.bitstream import BlockSymbols
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform import block_layout, block_modes, partial_blocks
from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS

N_CLASSES, N_TABLES = 4, 3
DECAY = np.array([0.05, 0.5, 0.9])


def make_model(n_quantizers: int) -> EntropyModel:
    """A model whose tables have a trace of every token; those of a second quantiser are in reverse."""
    rng = np.random.default_rng(0)
    values = np.arange(-60000, 60001)
    tokens = np.asarray(tokens_module.to_token(jnp.asarray(values, jnp.int32))[0])
    weights = DECAY[:, None] ** np.abs(values)[None]
    probabilities = 1e-4 + np.stack([np.bincount(tokens, row, tokens_module.N_TOKENS) for row in weights])
    tables = np.minimum(np.arange(N_CLASSES)[:, None], 2) * np.ones((1, N_COEFFICIENTS), int)
    tables[:, N_COEFFICIENTS // 2 :] = np.maximum(tables[:, N_COEFFICIENTS // 2 :] - 1, 0)
    tables[:, 0] = n_quantizers * N_TABLES + np.arange(N_CLASSES)

    def uniform(rows: int, n_tokens: int) -> jax.Array:
        table = np.ones((rows, 1)) * (np.arange(tokens_module.N_TOKENS) < n_tokens)
        return jnp.asarray(frequency_tables.quantize_frequencies(table))

    means = np.repeat(probabilities[2:], N_CLASSES, axis=0)
    shared = [probabilities, probabilities[::-1]][:n_quantizers]
    return EntropyModel(
        frequencies=jnp.asarray(frequency_tables.quantize_frequencies(np.concatenate([*shared, means]))),
        bits=jnp.ones((N_TABLES, 3), jnp.float32),
        shrink=jnp.zeros((n_quantizers * N_TABLES, 2), jnp.float32),
        order=jnp.asarray(1 + rng.permutation(N_COEFFICIENTS - 1), jnp.int32),
        tables=jnp.asarray(tables, jnp.int32),
        end_frequencies=uniform(N_CLASSES, scan_order.N_ENDS_OF_BLOCK),
        mode_frequencies=uniform(N_CLASSES, block_modes.N_MODES),
        class_frequencies=uniform(N_CLASSES + 1, N_CLASSES),
        class_bits=jnp.full(N_CLASSES, 2, jnp.float32),
    )


MODELS = {n: make_model(n) for n in (1, 2)}
MODEL = MODELS[2]
encode = jax.jit(bitstream.encode_stream)
decode = jax.jit(bitstream.decode_stream)


def layout_for(shape: Shape3, valid_shape: Shape3) -> block_layout.BlockLayout:
    return block_layout.make_layout(grid_shape(shape, BLOCK_SIZE), jnp.array(valid_shape, jnp.int32))


def quantizers_of(model: EntropyModel, layout: block_layout.BlockLayout, integers: jax.Array) -> jax.Array:
    """Which quantiser each integer of blocks belongs to, in the latents' order; 0 for the means."""
    places = scan_order.make_scan_order(model, layout)
    chosen = dependent_quantization.quantizers_of(
        scan_order.in_order(places, layout, integers), model.n_quantizers
    )
    place = places.places[layout.partial_type]
    return jnp.where(place < 0, 0, jnp.take_along_axis(chosen, jnp.maximum(place, 0), axis=1))


def to_points(model: EntropyModel, layout: block_layout.BlockLayout, integers: np.ndarray) -> jax.Array:
    """The points of a block's integers but the mean, in half steps; the means as they are."""
    values = jnp.asarray(integers, jnp.int32)
    points = dependent_quantization.to_half_steps(values, quantizers_of(model, layout, values))
    return points.at[:, 0].set(values[:, 0])


def random_symbols(
    layout: block_layout.BlockLayout, scale: int, seed: int, model: EntropyModel = MODEL
) -> BlockSymbols:
    """Symbols as an encoder might make them: blocks of all lengths, zero where there is no voxel."""
    rng = np.random.default_rng(seed)
    n = len(layout.partial_type)
    integers = rng.integers(-scale, scale + 1, (n, N_COEFFICIENTS))
    has = np.asarray(partial_blocks.frequencies_by_partial_type(layout.valid_shape))[
        np.asarray(layout.partial_type)
    ]
    cut = rng.choice([0, 1, 15, 16, 17, 100, 511], n)
    order = np.concatenate([[0], np.asarray(MODEL.order)])
    place = np.argsort(order)
    integers = np.where(has & (place[None] <= cut[:, None]), integers, 0)
    modes = rng.integers(0, block_modes.N_MODES, n)
    arrays = (to_points(model, layout, integers), rng.integers(0, N_CLASSES, n), modes)
    return BlockSymbols(*(jnp.asarray(x, jnp.int32) for x in arrays))


def assert_same(layout: block_layout.BlockLayout, decoded: BlockSymbols, symbols: BlockSymbols) -> None:
    present = np.asarray(layout.order)[: int(layout.n_blocks)]
    leaders = present[np.asarray(layout.starts_superblock)[present]]
    np.testing.assert_array_equal(decoded.points[present], symbols.points[present])
    np.testing.assert_array_equal(decoded.classes[present], symbols.classes[present])
    np.testing.assert_array_equal(decoded.modes[leaders], symbols.modes[leaders])


@pytest.mark.parametrize(
    ("shape", "valid_shape", "n_lanes"),
    [
        ((8, 8, 8), (8, 8, 8), 1),
        ((8, 8, 8), (1, 3, 8), 1),
        ((32, 32, 40), (32, 32, 40), 5),
        ((32, 32, 40), (32, 32, 40), 1),
        ((32, 32, 40), (25, 31, 39), 3),
        ((32, 32, 40), (8, 9, 1), 5),
    ],
)
@pytest.mark.parametrize("n_quantizers", [1, 2])
def test_streams_round_trip(shape: Shape3, valid_shape: Shape3, n_lanes: int, n_quantizers: int) -> None:
    layout, model = layout_for(shape, valid_shape), MODELS[n_quantizers]
    symbols = random_symbols(layout, 5, n_lanes, model)
    words, used = encode(model, layout, symbols, jnp.int32(n_lanes))
    assert words.shape == (bitstream.stream_capacity(len(layout.partial_type), N_COEFFICIENTS),)
    assert_same(layout, decode(model, layout, words, used, jnp.int32(n_lanes)), symbols)


def test_streams_round_trip_whatever_width_their_lanes_need() -> None:
    """On a CPU, loops run in the narrowest of some widths that holds the lanes: see ``with_width``."""
    layout = layout_for((64, 64, 64), (64, 64, 57))
    symbols = random_symbols(layout, 5, 0)
    most = max_lanes_for(len(layout.partial_type))
    assert most == 256
    assert CPU_WIDTHS[-1] == 64
    for n in (1, 64, 65, most):
        words, used = encode(MODEL, layout, symbols, jnp.int32(n))
        assert_same(layout, decode(MODEL, layout, words, used, jnp.int32(n)), symbols)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 9, 300, tokens_module.MAX_MAGNITUDE]))
def test_any_integers_round_trip(seed: int, scale: int) -> None:
    layout = layout_for((16, 32, 32), (16, 29, 32))
    symbols = random_symbols(layout, scale, seed)
    words, used = encode(MODEL, layout, symbols, jnp.int32(2))
    assert int(used) <= words.shape[0]
    assert_same(layout, decode(MODEL, layout, words, used, jnp.int32(2)), symbols)


def test_the_worst_fits_the_buffer() -> None:
    layout = layout_for((16, 16, 16), (16, 16, 16))
    points = to_points(MODEL, layout, np.full((8, N_COEFFICIENTS), tokens_module.MAX_MAGNITUDE))
    symbols = BlockSymbols(points, jnp.zeros(8, jnp.int32), jnp.zeros(8, jnp.int32))
    words, used = encode(MODEL, layout, symbols, jnp.int32(1))
    assert int(used) <= words.shape[0]
    assert_same(layout, decode(MODEL, layout, words, used, jnp.int32(1)), symbols)


@pytest.mark.parametrize("n_quantizers", [1, 2])
def test_streams_are_near_what_their_tables_allow(n_quantizers: int) -> None:
    model = MODELS[n_quantizers]
    layout = layout_for((64, 64, 64), (64, 64, 64))
    n, n_lanes = 512, 32
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, N_CLASSES, n)
    table = np.asarray(model.tables)[chosen]
    means = np.repeat(DECAY[2:], N_CLASSES)
    p = 1 - np.concatenate([DECAY] * n_quantizers + [means])[table]
    values = jnp.asarray(rng.geometric(p) - rng.geometric(p), jnp.int32)
    modes = jnp.asarray(rng.integers(0, block_modes.N_MODES, n), jnp.int32)
    points = to_points(model, layout, np.asarray(values))
    symbols = BlockSymbols(points, jnp.asarray(chosen, jnp.int32), modes)
    places = scan_order.make_scan_order(model, layout)
    ends = scan_order.find_end_of_block(scan_order.in_order(places, layout, values))
    coded = np.asarray(places.places)[0] < np.asarray(scan_order.n_coded(places, layout, ends))[:, None]
    token, _, extra = (np.asarray(x) for x in tokens_module.to_token(values))
    table = table + N_TABLES * np.asarray(quantizers_of(model, layout, values))
    ideal = frequency_tables.PRECISION - np.log2(np.asarray(model.frequencies, float)[table, token]) + extra
    heads = np.log2(N_CLASSES) + np.log2(scan_order.N_ENDS_OF_BLOCK) + np.log2(block_modes.N_MODES) / 8
    ideal_bits = ideal[coded].sum() + n * heads
    _, used = encode(model, layout, symbols, jnp.int32(n_lanes))
    assert 0.999 * ideal_bits / 16 <= int(used) <= 1.005 * ideal_bits / 16 + 2 * n_lanes


def test_ends_follow_the_last_integer() -> None:
    layout = layout_for((8, 8, 32), (8, 8, 32))
    places = scan_order.make_scan_order(MODEL, layout)
    integers = np.zeros((4, N_COEFFICIENTS), np.int32)
    integers[:, 0] = 7  # the mean does not count
    order = np.asarray(MODEL.order)
    integers[1, order[0]], integers[2, order[16]], integers[3, order[510]] = 1, -1, 3
    ends = scan_order.find_end_of_block(scan_order.in_order(places, layout, jnp.asarray(integers)))
    np.testing.assert_array_equal(ends, [0, 1, 2, scan_order.N_ENDS_OF_BLOCK - 1])
    np.testing.assert_array_equal(scan_order.n_coded(places, layout, ends), [0, 16, 32, 511])


def test_damaged_streams_end() -> None:
    layout = layout_for((32, 32, 40), (32, 25, 40))
    capacity = bitstream.stream_capacity(len(layout.partial_type), N_COEFFICIENTS)
    words = np.random.default_rng(0).integers(0, 1 << 16, capacity)
    decoder = functools.partial(decode, MODEL, layout, jnp.asarray(words, jnp.uint16))
    for used in (words.size, 4, 50):
        decoded = decoder(jnp.int32(used), jnp.int32(2))
        assert decoded.points.shape == (len(layout.partial_type), N_COEFFICIENTS)
        assert 0 <= int(decoded.classes.min()) <= int(decoded.classes.max()) < N_CLASSES
        assert 0 <= int(decoded.modes.min()) <= int(decoded.modes.max()) < block_modes.N_MODES
