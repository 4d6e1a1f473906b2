import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import HEADER_MODELS, MODEL, N_CLASSES, layout_for, layout_of_row

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy import rans
from nvc_jax.entropy.frequency_tables import quantize_frequencies
from nvc_jax.entropy.interleaving import max_lanes_for
from nvc_jax.entropy.tokens import MAX_MAGNITUDE, N_TOKENS
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.spectral.block_headers import BlockHeaders, pop_headers, push_headers
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.header_contexts import LEVEL_SHIFT, N_HEADER_CONTEXTS
from nvc_jax.spectral.scan_order import N_ENDS_OF_BLOCK
from nvc_jax.transform.block_layout import BlockLayout

SHAPE = (32, 32, 40)


def capacity_of(n: int) -> int:
    """Words that hold the headers of n blocks, whatever they are."""
    return rans.capacity(3 * n, max_lanes_for(n))


@jax.jit
def encode(model: EntropyModel, layout: BlockLayout, headers: BlockHeaders, n_lanes: jax.Array) -> WordStream:
    n = len(layout.order)
    coder = rans.start_encoding(n_lanes, max_lanes_for(n), capacity_of(n))
    return rans.finish_encoding(push_headers(model, layout, headers, coder, n_lanes), n_lanes)


@jax.jit
def decode(model: EntropyModel, layout: BlockLayout, stream: WordStream) -> tuple[BlockHeaders, jax.Array]:
    headers, coder = pop_headers(model, layout, rans.start_decoding(stream), stream.n_lanes)
    return headers, rans.ends_well(coder, stream)


def random_headers(n: int, max_first: int = 300) -> BlockHeaders:
    rng = np.random.default_rng(n)
    limits = ((0, N_CLASSES), (0, N_ENDS_OF_BLOCK), (-max_first, max_first + 1))
    return BlockHeaders(*(jnp.asarray(rng.integers(low, high, n), jnp.int32) for low, high in limits))


@pytest.mark.parametrize("valid_shape", [SHAPE, (25, 31, 39), (8, 9, 1)])
@pytest.mark.parametrize("n_lanes", [1, 5, 32])
@pytest.mark.parametrize("model", [MODEL, HEADER_MODELS[2]], ids=["plain", "contexts"])
def test_headers_round_trip(valid_shape: Shape3, n_lanes: int, model: EntropyModel) -> None:
    layout = layout_for(SHAPE, valid_shape)
    n, n_inside = len(layout.order), int(layout.n_blocks)
    headers = random_headers(n, MAX_MAGNITUDE)
    decoded, ends_well = decode(model, layout, encode(model, layout, headers, jnp.int32(n_lanes)))
    assert ends_well

    inside = np.asarray(layout.order)[:n_inside]
    outside = np.setdiff1d(np.arange(n), inside)
    for result, expected in zip(decoded, headers, strict=True):
        np.testing.assert_array_equal(result[inside], expected[inside])
        assert not np.asarray(result)[outside].any()


def test_headers_outside_the_volume_take_no_bits() -> None:
    layout = layout_for(SHAPE, (8, 9, 1))
    headers = random_headers(len(layout.order))
    is_inside = jnp.asarray(layout.inside)
    cleared = BlockHeaders(*(jnp.where(is_inside, leaf, 0) for leaf in headers))
    stream, expected = (encode(MODEL, layout, part, jnp.int32(1)) for part in (headers, cleared))
    assert int(stream.group_words[0]) == int(expected.group_words[0])
    np.testing.assert_array_equal(stream.words, expected.words)


def test_a_class_is_coded_given_the_class_before() -> None:
    """Classes 0, 1, 2, 3, 0 … cost hardly any bits in a model in which each class follows another one."""
    n = 256
    layout = layout_of_row(n)
    following = np.zeros((N_CLASSES + 1, N_TOKENS))
    following[:, :N_CLASSES] = 1e-3 + np.roll(np.eye(N_CLASSES + 1, N_CLASSES), 1, axis=1)
    model = MODEL._replace(class_frequencies=jnp.asarray(quantize_frequencies(following)))
    zeros = jnp.zeros(n, jnp.int32)
    in_turn = jnp.arange(n, dtype=jnp.int32) % N_CLASSES
    random = jnp.asarray(np.random.default_rng(0).permutation(in_turn), jnp.int32)

    used = [
        int(encode(model, layout, BlockHeaders(classes, zeros, zeros), jnp.int32(1)).group_words[0])
        for classes in (in_turn, random)
    ]
    assert used[1] - used[0] > 5 * n / 16


def test_a_class_is_coded_given_the_classes_of_neighbours() -> None:
    """Classes that repeat those of the row of blocks above cost hardly any bits."""
    layout = layout_for((256, 8, 32), (256, 8, 32))
    n, n_contexts = len(layout.order), N_HEADER_CONTEXTS
    shares = np.full((2 * N_CLASSES, N_TOKENS), 0.0)
    shares[:, :N_CLASSES] = 1
    shares[N_CLASSES + 1 :, : N_CLASSES - 1] += 1e3 * np.eye(N_CLASSES - 1)
    rows = np.tile(np.arange(N_CLASSES + 1), (n_contexts, 1))
    rows[1:N_CLASSES] = N_CLASSES + 1 + np.arange(N_CLASSES - 1)[:, None]
    model = MODEL._replace(
        class_frequencies=jnp.asarray(quantize_frequencies(shares)),
        class_levels=jnp.arange(N_CLASSES, dtype=jnp.int32) << LEVEL_SHIFT,
        class_rows=jnp.asarray(rows, jnp.int32),
        first_rows=jnp.tile(MODEL.tables[:, 0], (n_contexts, 1)),
    )
    zeros = jnp.zeros(n, jnp.int32)
    classes = jnp.tile(jnp.array([2, 0, 1, 0], jnp.int32), n // 4)
    used = [
        int(encode(of, layout, BlockHeaders(classes, zeros, zeros), jnp.int32(1)).group_words[0])
        for of in (model, MODEL)
    ]
    assert used[1] - used[0] > 1.8 * n / 16


def test_headers_of_damaged_streams_are_in_range() -> None:
    layout = layout_for(SHAPE, (32, 25, 40))
    n = len(layout.order)
    words = np.random.default_rng(0).integers(0, 1 << 16, capacity_of(n))
    for used in (words.size, 50, 10):
        stream = WordStream(jnp.asarray(words, jnp.uint16), jnp.array([used]), jnp.int32(5))
        headers, _ = decode(MODEL, layout, stream)
        assert 0 <= int(headers.classes.min()) <= int(headers.classes.max()) < N_CLASSES
