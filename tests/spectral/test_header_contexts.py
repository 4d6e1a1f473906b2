import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.spectral.header_contexts import (
    N_HEADER_CONTEXTS,
    N_LEVELS,
    HeaderContexts,
    blocks_inside,
    find_header_contexts,
)

SIDES = (3, 4, 5)
LEVELS = np.array([0, 40, 90, N_LEVELS - 1], np.int32)


@jax.jit
def find(classes: jax.Array, first: jax.Array, steps: jax.Array) -> HeaderContexts:
    """Contexts of all blocks, of which lanes have decoded those of so many steps before."""
    place = jnp.arange(len(classes), dtype=jnp.int32)

    def read(other: jax.Array, is_known: jax.Array) -> tuple[jax.Array, jax.Array]:
        index = jnp.where(is_known, other, 0)
        return classes[index], first[index]

    levels, sides = jnp.asarray(LEVELS), jnp.array(SIDES, jnp.int32)
    return find_header_contexts(levels, sides, place, steps, read)


def expected_contexts(classes: np.ndarray, first: np.ndarray, steps: np.ndarray) -> list[tuple[int, int]]:
    """The same in plain Python."""
    contexts = []
    grid = np.arange(len(classes)).reshape(SIDES)
    for place, index in enumerate(np.ndindex(SIDES)):
        known = {}
        for axis in range(3):
            lower = tuple(n - (i == axis) for i, n in enumerate(index))
            if min(lower) >= 0 and place - grid[lower] <= steps[place]:
                known[axis] = int(grid[lower])
        levels = [int(LEVELS[classes[block]]) for axis, block in known.items() if axis < 2]
        magnitudes = [abs(int(first[block])) for block in known.values()]
        of_class = 1 + sum(levels) // len(levels) // 16 if levels else 0
        mean = 3 * sum(magnitudes) // max(len(magnitudes), 1)
        contexts.append((of_class, 1 + min(mean.bit_length(), 9) if magnitudes else 0))
    return contexts


@given(
    seed=st.integers(0, 2**32 - 1),
    run=st.integers(1, int(np.prod(SIDES))),
    largest=st.sampled_from([0, 1, 7, 200, MAX_MAGNITUDE]),
)
def test_contexts_follow_from_neighbours_of_the_same_lane(seed: int, run: int, largest: int) -> None:
    rng, n = np.random.default_rng(seed), int(np.prod(SIDES))
    classes = rng.integers(0, len(LEVELS), n)
    first = rng.integers(-largest, largest + 1, n)
    steps = np.arange(n) % run
    found = find(*(jnp.asarray(x, jnp.int32) for x in (classes, first, steps)))
    expected = np.array(expected_contexts(classes, first, steps))
    np.testing.assert_array_equal(np.stack(found, axis=1), expected)
    assert expected.max() < N_HEADER_CONTEXTS


def test_partial_blocks_are_inside() -> None:
    sides = jax.jit(blocks_inside)(jnp.array([1, 16, 17], jnp.int32))
    np.testing.assert_array_equal(sides, [1, 2, 3])
