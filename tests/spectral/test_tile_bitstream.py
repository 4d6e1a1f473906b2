from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nvc_jax
from nvc_jax.spectral import bitstream, scan_order, stream_loops
from nvc_jax.spectral.analysis import Analysis, analyze, decide_shape
from nvc_jax.spectral.profiles import Profiles

SHAPE = (32, 40, 64)
"""Volume of 160 blocks: streams of up to 80 lanes."""
VALID = jnp.array([28, 40, 62], jnp.int32)
TILE_LOOPS = stream_loops.TILE_LOOPS._replace(push=partial(stream_loops.TILE_LOOPS.push, interpret=True))


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    """Decisions of the encoder about noise, and a block of integers with high and low extra bits."""
    profiles = nvc_jax.load_codec("nvc-1").params["entropy"]
    noise = np.random.default_rng(1).standard_normal(SHAPE, dtype=np.float32)
    volume = jnp.asarray(np.cumsum(noise, axis=0) / 50)

    @jax.jit
    def decide_and_analyze(profiles: Profiles, volume: jax.Array) -> Analysis:
        transform = decide_shape(profiles, volume, jnp.float32(0.02), VALID).shape
        return analyze(profiles, volume, jnp.float32(0.02), VALID, jnp.int32(0), transform)

    made = decide_and_analyze(profiles, volume)
    points = np.array(made.symbols.points)
    points[3, 1:] = np.where(points[3, 1:] != 0, points[3, 1:] + (1 << 21), 0)  # escapes
    return made._replace(symbols=made.symbols._replace(points=jnp.asarray(points)))


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
