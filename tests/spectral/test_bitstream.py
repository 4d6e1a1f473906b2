import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spectral_blocks import (
    CONTEXT_MODELS,
    DECAY,
    MODEL,
    MODELS,
    N_CLASSES,
    N_TABLES,
    layout_for,
    points_of,
    quantizers_of,
    random_symbols,
)

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy import frequency_tables
from nvc_jax.entropy import tokens as tokens_module
from nvc_jax.entropy.interleaving import max_lanes_for
from nvc_jax.entropy.word_stream import WordStream, n_groups_of
from nvc_jax.spectral import bitstream, scan_order
from nvc_jax.spectral.bitstream import BlockSymbols
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.neighbour_contexts import N_CONTEXTS
from nvc_jax.transform import block_layout
from nvc_jax.transform.block_layout import N_COEFFICIENTS

encode = jax.jit(bitstream.encode_stream)
decode = jax.jit(bitstream.decode_stream)


def assert_same(layout: block_layout.BlockLayout, decoded: BlockSymbols, symbols: BlockSymbols) -> None:
    inside = np.asarray(layout.order)[: int(layout.n_blocks)]
    np.testing.assert_array_equal(decoded.points[inside], symbols.points[inside])
    np.testing.assert_array_equal(decoded.first[inside], symbols.first[inside])
    np.testing.assert_array_equal(decoded.classes[inside], symbols.classes[inside])


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
    stream = encode(model, layout, symbols, jnp.int32(n_lanes))
    assert len(stream.words) == bitstream.stream_capacity(len(layout.partial_type), N_COEFFICIENTS)
    assert_same(layout, decode(model, layout, stream), symbols)


def test_streams_of_many_lanes_round_trip() -> None:
    layout = layout_for((32, 32, 64), (32, 32, 57))
    symbols = random_symbols(layout, 5, 0)
    for n_lanes in (1, 4, 5, 16, 17, 32, 64):
        assert_same(
            layout, decode(MODEL, layout, encode(MODEL, layout, symbols, jnp.int32(n_lanes))), symbols
        )


def test_contexts_make_other_streams_of_the_same_integers() -> None:
    layout = layout_for((32, 32, 64), (32, 32, 57))
    symbols = random_symbols(layout, 5, 0)
    own = jnp.tile(jnp.arange(MODEL.n_shared, dtype=jnp.int32), (N_CONTEXTS, 1))
    for n_lanes in map(jnp.int32, (1, 5, 64)):
        plain = encode(MODEL, layout, symbols, n_lanes)
        same = encode(MODEL._replace(context_rows=own), layout, symbols, n_lanes)
        jax.tree.map(np.testing.assert_array_equal, same, plain)
        other = encode(CONTEXT_MODELS[2], layout, symbols, n_lanes)
        assert not np.array_equal(other.words, plain.words)
        assert_same(layout, decode(CONTEXT_MODELS[2], layout, other), symbols)


def test_streams_of_many_groups_of_lanes_round_trip() -> None:
    layout = layout_for((64, 64, 64), (64, 61, 64))
    assert max_lanes_for(len(layout.partial_type)) == 256
    symbols = random_symbols(layout, 3, 0)
    for n_lanes in (1, 31, 32, 64, 96, 256):
        stream = encode(MODEL, layout, symbols, jnp.int32(n_lanes))
        has_words = np.arange(8) < n_groups_of(n_lanes)
        np.testing.assert_array_equal(stream.group_words > 0, has_words)
        assert_same(layout, decode(MODEL, layout, stream), symbols)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 9, 300, tokens_module.MAX_MAGNITUDE]))
def test_any_integers_round_trip(seed: int, scale: int) -> None:
    layout = layout_for((16, 32, 32), (16, 29, 32))
    symbols = random_symbols(layout, scale, seed)
    stream = encode(MODEL, layout, symbols, jnp.int32(2))
    assert int(stream.group_words.sum()) <= len(stream.words)
    assert_same(layout, decode(MODEL, layout, stream), symbols)


@pytest.mark.parametrize(("shape", "n_lanes"), [((16, 16, 16), 1), ((32, 40, 56), 64)])
def test_the_longest_stream_fits_the_buffer(shape: Shape3, n_lanes: int) -> None:
    layout = layout_for(shape, shape)
    n = len(layout.partial_type)
    assert n_lanes <= max_lanes_for(n)
    points = points_of(MODEL, layout, np.full((n, N_COEFFICIENTS), tokens_module.MAX_MAGNITUDE))
    first = jnp.full(n, tokens_module.MAX_MAGNITUDE, jnp.int32)
    symbols = BlockSymbols(points, first, jnp.zeros(n, jnp.int32))
    stream = encode(MODEL, layout, symbols, jnp.int32(n_lanes))
    assert int(stream.group_words.sum()) <= len(stream.words)
    assert_same(layout, decode(MODEL, layout, stream), symbols)


@jax.jit
def find_coded(
    model: EntropyModel, layout: block_layout.BlockLayout, integers: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Positions of coefficients, and the number of integers that are coded of each block."""
    scan = scan_order.make_scan_order(model, layout)
    ends = scan_order.find_ends(scan, layout, integers != 0)
    return scan.positions, scan_order.count_coded(scan, layout, ends)


@pytest.mark.parametrize("n_quantizers", [1, 2])
def test_streams_are_near_what_their_tables_allow(n_quantizers: int) -> None:
    model = MODELS[n_quantizers]
    layout = layout_for((64, 64, 64), (64, 64, 64))
    n, n_lanes = 512, 32
    rng = np.random.default_rng(0)
    classes = rng.integers(0, N_CLASSES, n)
    table = np.asarray(model.tables)[classes]
    first_decay = np.repeat(DECAY[2:], N_CLASSES)
    p = 1 - np.concatenate([DECAY] * n_quantizers + [first_decay])[table]
    integers = jnp.asarray(rng.geometric(p) - rng.geometric(p), jnp.int32)
    points = points_of(model, layout, np.asarray(integers))
    symbols = BlockSymbols(points, integers[:, 0], jnp.asarray(classes, jnp.int32))

    positions, counts = find_coded(model, layout, integers)
    is_coded = np.asarray(positions)[0] < np.asarray(counts)[:, None]
    token, _, extra = (np.asarray(x) for x in jax.jit(tokens_module.to_token)(integers))
    row = table + N_TABLES * np.asarray(quantizers_of(model, layout, integers))
    bits = frequency_tables.PRECISION - np.log2(np.asarray(model.frequencies, float)[row, token]) + extra
    header_bits = np.log2(N_CLASSES) + np.log2(scan_order.N_ENDS_OF_BLOCK)
    ideal_bits = bits[is_coded].sum() + n * header_bits
    used = int(encode(model, layout, symbols, jnp.int32(n_lanes)).group_words.sum())
    assert 0.999 * ideal_bits / 16 <= used <= 1.005 * ideal_bits / 16 + 2 * n_lanes


def test_damaged_streams_end() -> None:
    layout = layout_for((32, 32, 40), (32, 25, 40))
    capacity = bitstream.stream_capacity(len(layout.partial_type), N_COEFFICIENTS)
    words = np.random.default_rng(0).integers(0, 1 << 16, capacity)
    for used in (words.size, 4, 50):
        stream = WordStream(jnp.asarray(words, jnp.uint16), jnp.array([used]), jnp.int32(2))
        decoded = decode(MODEL, layout, stream)
        assert decoded.points.shape == (len(layout.partial_type), N_COEFFICIENTS)
        assert 0 <= int(decoded.classes.min()) <= int(decoded.classes.max()) < N_CLASSES


def test_small_chunks_get_more_lanes_for_their_bits() -> None:
    assert bitstream.bits_per_lane(512) < bitstream.bits_per_lane(513)
