from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from analysed_noise import analyse_noise

from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.spectral import bitstream, stream_loops, tile_runs
from nvc_jax.spectral.analysis import Analysis

LOOPS = stream_loops.REFERENCE_LOOPS
TILE_LOOPS = LOOPS._replace(pop_points=partial(tile_runs.pop_points, interpret=True))


@pytest.fixture
def analysis() -> Analysis:
    return analyse_noise()


@jax.jit
def encode(analysis: Analysis, n_lanes: jax.Array) -> WordStream:
    arguments = (analysis.model, analysis.layout, analysis.scan, *analysis.symbols, n_lanes)
    return bitstream.encode_by_loops(LOOPS, *arguments)


def decode(loops: stream_loops.Loops, analysis: Analysis, stream: WordStream) -> bitstream.BlockSymbols:
    return bitstream.decode_by_loops(loops, analysis.model, analysis.layout, analysis.scan, stream)


decode_by_tiles, decode_reference = (jax.jit(partial(decode, loops)) for loops in (TILE_LOOPS, LOOPS))


def assert_alike(analysis: Analysis, stream: WordStream) -> None:
    decoded = (decode_by_tiles(analysis, stream), decode_reference(analysis, stream))
    for leaf, wanted in zip(*decoded, strict=True):
        np.testing.assert_array_equal(leaf, wanted)


@pytest.mark.parametrize("n_lanes", [31, 32, 80])
def test_integers_are_those_of_the_reference(analysis: Analysis, n_lanes: int) -> None:
    assert_alike(analysis, encode(analysis, jnp.int32(n_lanes)))


def test_a_single_lane_has_the_integers_of_the_reference(analysis: Analysis) -> None:
    """Those of some blocks: such a lane takes as many steps as there are integers."""
    is_kept = jnp.arange(len(analysis.symbols.points))[:, None] < 12
    symbols = analysis.symbols._replace(points=jnp.where(is_kept, analysis.symbols.points, 0))
    few = analysis._replace(symbols=symbols)
    assert_alike(few, encode(few, jnp.int32(1)))


@pytest.mark.parametrize("seed", range(4))
def test_damaged_streams_decode_alike(analysis: Analysis, seed: int) -> None:
    draw = np.random.default_rng(seed)
    stream = encode(analysis, jnp.int32(64))
    words, used = np.array(stream.words), int(np.sum(stream.group_words))
    words[draw.integers(0, used, 40)] = draw.integers(0, 1 << 16, 40)
    assert_alike(analysis, stream._replace(words=jnp.asarray(words)))


@pytest.mark.parametrize("change", [-2000, 1 << 24])
def test_stacks_of_wrong_lengths_decode_alike(analysis: Analysis, change: int) -> None:
    stream = encode(analysis, jnp.int32(64))
    assert_alike(analysis, stream._replace(group_words=stream.group_words.at[1].add(change)))


def test_models_of_one_quantizer_without_contexts_decode_alike(analysis: Analysis) -> None:
    model = analysis.model
    n_tables = model.bits.shape[0]
    of_first = model.frequencies[model.n_shared :]
    single = model._replace(
        frequencies=jnp.concatenate([model.frequencies[:n_tables], of_first]),
        reconstruction_offsets=model.reconstruction_offsets[:n_tables],
        context_rows=None,
    )
    points = analysis.symbols.points // 2 * 2
    plain = analysis._replace(model=single, symbols=analysis.symbols._replace(points=points))
    assert_alike(plain, encode(plain, jnp.int32(64)))


def test_batches_have_the_symbols_of_their_streams(analysis: Analysis) -> None:
    streams = [encode(analysis, jnp.int32(n_lanes)) for n_lanes in (31, 64)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *streams)
    in_turn = jax.custom_batching.sequential_vmap(partial(decode, TILE_LOOPS))
    symbols = jax.jit(jax.vmap(in_turn, in_axes=(None, 0)))(analysis, stacked)
    for index, stream in enumerate(streams):
        for leaf, wanted in zip(symbols, decode_reference(analysis, stream), strict=True):
            np.testing.assert_array_equal(leaf[index], wanted)
