from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from analysed_noise import analyse_noise

from nvc_jax.spectral import bitstream, scan_order, stream_loops
from nvc_jax.spectral.analysis import Analysis

TILE_LOOPS = stream_loops.TILE_LOOPS._replace(push=partial(stream_loops.TILE_LOOPS.push, interpret=True))


@pytest.fixture
def analysis() -> Analysis:
    return analyse_noise()


def encode(loops: stream_loops.Loops, analysis: Analysis, n_lanes: jax.Array) -> tuple:
    scan = scan_order.make_scan_order(analysis.model, analysis.layout)
    return bitstream.encode_by_loops(loops, analysis.model, analysis.layout, scan, *analysis.symbols, n_lanes)


encode_by_tiles, encode_reference = (
    jax.jit(partial(encode, loops)) for loops in (TILE_LOOPS, stream_loops.REFERENCE_LOOPS)
)


@pytest.mark.parametrize("n_lanes", [1, 31, 32, 80])
def test_streams_are_those_of_the_reference(analysis: Analysis, n_lanes: int) -> None:
    stream, wanted = (of(analysis, jnp.int32(n_lanes)) for of in (encode_by_tiles, encode_reference))
    for leaf, wanted_leaf in zip(stream, wanted, strict=True):
        np.testing.assert_array_equal(leaf, wanted_leaf)


def test_batches_have_the_streams_of_their_volumes(analysis: Analysis) -> None:
    n_lanes = jnp.array([3, 64], jnp.int32)
    encode_in_turn = jax.custom_batching.sequential_vmap(partial(encode, TILE_LOOPS))
    streams = jax.jit(jax.vmap(encode_in_turn, in_axes=(None, 0)))(analysis, n_lanes)
    for index in range(2):
        wanted = encode_reference(analysis, n_lanes[index])
        for leaf, wanted_leaf in zip(streams, wanted, strict=True):
            np.testing.assert_array_equal(leaf[index], wanted_leaf)
