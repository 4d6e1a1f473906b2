from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import pallas

from nvc_jax.entropy import rans, tile_pop
from nvc_jax.entropy.frequency_tables import make_tables, quantize_frequencies
from nvc_jax.entropy.tokens import MAX_MAGNITUDE, N_TOKENS
from nvc_jax.entropy.word_stack import GROUP_LANES

N_STEPS, N_ROWS, N_LANES = 9, 5, 256


def draw_frequencies(draw: np.random.Generator) -> np.ndarray:
    """Draw tables, of which one has a single token."""
    probabilities = draw.dirichlet(np.full(N_TOKENS, 0.05), N_ROWS)
    probabilities[0] = np.eye(N_TOKENS)[63]
    return quantize_frequencies(probabilities)


@jax.jit
def pop_by_tiles(
    words: jax.Array, tops: jax.Array, states: jax.Array, frequencies: jax.Array, steps: Any
) -> Any:
    windows = tile_pop.cut_windows(tile_pop.words_in_rows(words, N_STEPS), tops, N_STEPS)
    starts = tile_pop.starts_of_tokens(make_tables(frequencies, with_slots=False))

    def kernel(pairs: Any, start: Any, starts: Any, row: Any, active: Any, after: Any, values: Any) -> None:
        state, top = start[0:1, :], start[1:2, :]
        for step in range(N_STEPS):
            here = slice(step, step + 1)
            own = tile_pop.Windows(pairs, top)
            state, top, values[here, :] = tile_pop.pop(
                state, own, starts[...], row[here, :], active[here, :] > 0
            )
        after[...] = jnp.concatenate([state, top])

    start = jnp.concatenate([lax.bitcast_convert_type(states, jnp.int32)[None], windows.tops])
    results = [jax.ShapeDtypeStruct(leaf.shape, jnp.int32) for leaf in (start, steps[0])]
    call = pallas.pallas_call(kernel, results, interpret=True)
    after, values = call(windows.pairs, start, starts, *steps)
    taken = (windows.tops - after[1:])[0, ::GROUP_LANES]
    return lax.bitcast_convert_type(after[0], jnp.uint32), tops - taken, values


@pytest.mark.parametrize("end", ["whole", "beyond", "before"])
def test_steps_are_those_of_pop(end: str) -> None:
    """Steps of a stream; of one whose stacks end behind the buffer; and of one whose stacks are too short."""
    draw = np.random.default_rng(len(end))
    frequencies = jnp.asarray(draw_frequencies(draw))
    tables = make_tables(frequencies)
    row = jnp.asarray(draw.integers(0, N_ROWS, (N_STEPS, N_LANES)), jnp.int32)
    magnitude = 2.0 ** draw.uniform(0, np.log2(MAX_MAGNITUDE), row.shape)
    value = jnp.asarray(magnitude * draw.choice([-1, 0, 0.001, 1], row.shape), jnp.int32)
    active = jnp.asarray(draw.random(row.shape) < 0.8)
    coder = rans.start_encoding(jnp.int32(N_LANES), N_LANES, rans.capacity(N_STEPS * N_LANES, N_LANES))
    for step in reversed(range(N_STEPS)):
        coder = jax.jit(rans.push)(coder, tables, row[step], value[step], active[step])
    shift = {"whole": 0, "beyond": len(coder.words), "before": -4500}[end]
    coder = coder._replace(tops=coder.tops + shift)

    arguments = (coder.words, coder.tops, coder.states, frequencies, (row, active.astype(jnp.int32)))
    states, tops, values = pop_by_tiles(*arguments)
    for step in range(N_STEPS):
        coder, wanted = jax.jit(rans.pop)(coder, tables, row[step], active[step])
        np.testing.assert_array_equal(values[step], wanted)
        if end == "whole":
            np.testing.assert_array_equal(values[step], np.where(active[step], value[step], 0))
    np.testing.assert_array_equal(states, coder.states)
    np.testing.assert_array_equal(tops, coder.tops)
