from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nvc_jax
from nvc_jax.entropy import rans
from nvc_jax.entropy.interleaving import max_lanes_for
from nvc_jax.entropy.word_stream import WordStream, n_groups_of
from nvc_jax.spectral import bitstream, scan_order
from nvc_jax.spectral.analysis import Analysis, ShapedVolume, analyze, decide_shape
from nvc_jax.spectral.profiles import Profiles

SHAPE = (32, 40, 64)
"""Volume of 160 blocks: streams of up to 80 lanes."""
VALID = jnp.array([28, 40, 62], jnp.int32)
GROUP_LOOPS = bitstream.GROUP_LOOPS._make(partial(loop, interpret=True) for loop in bitstream.GROUP_LOOPS)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    """Decisions of the encoder about noise that is smooth along z, with partial blocks and blocks outside."""
    profiles = nvc_jax.load_codec("nvc-1").params["entropy"]
    volume = np.cumsum(np.random.default_rng(1).standard_normal(SHAPE), axis=0, dtype=np.float32) / 50

    @jax.jit
    def decide_and_analyze(profiles: Profiles, volume: jax.Array) -> Analysis:
        transform = decide_shape(profiles, volume, jnp.float32(0.02), VALID).shape
        return analyze(profiles, ShapedVolume(volume, jnp.float32(0.02), VALID, jnp.int32(0), transform))

    return decide_and_analyze(profiles, jnp.asarray(volume))


def encode(loops: tuple, analysis: Analysis, n_lanes: jax.Array) -> WordStream:
    scan = scan_order.make_scan_order(analysis.model, analysis.layout)
    return bitstream.encode_by_loops(loops, analysis.model, analysis.layout, scan, *analysis.symbols, n_lanes)


def decode(loops: tuple, analysis: Analysis, stream: WordStream) -> bitstream.BlockSymbols:
    scan = scan_order.make_scan_order(analysis.model, analysis.layout)
    return bitstream.decode_by_loops(loops, analysis.model, analysis.layout, scan, stream)


encode_by_groups, encode_reference = (
    jax.jit(partial(encode, loops)) for loops in (GROUP_LOOPS, bitstream.REFERENCE_LOOPS)
)
decode_by_groups, decode_reference = (
    jax.jit(partial(decode, loops)) for loops in (GROUP_LOOPS, bitstream.REFERENCE_LOOPS)
)


def assert_equal(tree: tuple, wanted: tuple) -> None:
    for leaf, wanted_leaf in zip(tree, wanted, strict=True):
        np.testing.assert_array_equal(leaf, wanted_leaf)


@pytest.mark.parametrize("n_lanes", [1, 31, 32, 64])
def test_kernels_make_and_read_the_streams_of_the_reference(analysis: Analysis, n_lanes: int) -> None:
    stream = encode_by_groups(analysis, jnp.int32(n_lanes))
    assert_equal(stream, encode_reference(analysis, jnp.int32(n_lanes)))
    assert_equal(decode_by_groups(analysis, stream), analysis.symbols)


def test_kernels_read_any_words_as_the_reference_does(analysis: Analysis) -> None:
    n_blocks = len(analysis.symbols.classes)
    n_words, n_groups = bitstream.stream_capacity(n_blocks, 512), n_groups_of(max_lanes_for(n_blocks))
    rng = np.random.default_rng(0)
    for n_lanes in (20, 64):
        words = rng.integers(0, 1 << 16, n_words, np.uint16)
        group_words = np.where(np.arange(n_groups) * 32 < n_lanes, rng.integers(64, 400, n_groups), 0)
        stream = WordStream(jnp.asarray(words), jnp.asarray(group_words, jnp.int32), jnp.int32(n_lanes))
        assert_equal(decode_by_groups(analysis, stream), decode_reference(analysis, stream))


def test_batches_have_the_streams_of_their_volumes(analysis: Analysis) -> None:
    n_lanes = jnp.array([3, 64], jnp.int32)
    streams = jax.jit(jax.vmap(partial(encode, bitstream.REFERENCE_LOOPS), in_axes=(None, 0)))(
        analysis, n_lanes
    )
    for index, lanes in enumerate(n_lanes):
        assert_equal(jax.tree.map(lambda leaf, i=index: leaf[i], streams), encode_reference(analysis, lanes))
    decoded = jax.jit(jax.vmap(partial(decode, bitstream.REFERENCE_LOOPS), in_axes=(None, 0)))(
        analysis, streams
    )
    for index in range(2):
        assert_equal(jax.tree.map(lambda leaf, i=index: leaf[i], decoded), analysis.symbols)


def test_streams_end_as_every_encoder_ends_them(analysis: Analysis) -> None:
    stream = encode_by_groups(analysis, jnp.int32(64))
    _, coder = jax.jit(GROUP_LOOPS.pop_headers)(analysis.model, analysis.layout, stream)
    assert not rans.ends_well(coder, stream)  # the integers are left
