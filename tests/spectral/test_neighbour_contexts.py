import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spectral_blocks import MODEL, layout_for

from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.spectral import scan_order
from nvc_jax.spectral.neighbour_contexts import N_CONTEXTS, context_of, find_contexts, find_neighbours
from nvc_jax.transform.block_layout import N_COEFFICIENTS

LAYOUT = layout_for((16, 16, 16), (13, 16, 10))
"""Whole blocks, and some that are partial along z, along x, and along both."""


@functools.cache
def prepare() -> tuple[scan_order.ScanOrder, np.ndarray]:
    """Make the order of coding, and find the neighbours in it."""

    @jax.jit
    def make(valid_shape: jax.Array) -> tuple[scan_order.ScanOrder, jax.Array]:
        scan = scan_order.make_scan_order(MODEL, LAYOUT._replace(valid_shape=valid_shape))
        return scan, find_neighbours(scan)

    return jax.device_get(make(LAYOUT.valid_shape))


_contexts = jax.jit(
    lambda neighbours, partial_type, n_before, points: find_contexts(
        neighbours,
        partial_type,
        jnp.arange(N_COEFFICIENTS - 1, dtype=jnp.int32),
        n_before,
        lambda other, is_known: points[jnp.where(is_known, other, 0)],
    )
)


def expected_contexts(partial_type: int, points: np.ndarray, start: int) -> list[int]:
    """Contexts of all integers of a block, of which a lane has those from ``start`` on, in plain Python."""
    scan, _ = prepare()
    known: dict[tuple[int, ...], int] = {}
    contexts = []
    for position, coefficient in enumerate(scan.coefficients[partial_type].tolist()):
        place = np.unravel_index(coefficient, (8, 8, 8))
        lower = [tuple(int(p) - (i == axis) for i, p in enumerate(place)) for axis in range(3)]
        magnitudes = [known[neighbour] for neighbour in lower if neighbour in known]
        mean = 3 * sum(magnitudes) // max(len(magnitudes), 1)
        contexts.append(1 + min(mean.bit_length(), 9) if magnitudes else 0)
        if position >= start:
            known[tuple(map(int, place))] = abs(int(points[position]))
    return contexts


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 3, 40, 600, 2 * MAX_MAGNITUDE]),
    st.sampled_from(np.unique(LAYOUT.partial_type).tolist()),
    st.sampled_from([0, 1, 200, 510]),
)
def test_contexts_follow_from_known_neighbours(seed: int, scale: int, partial_type: int, start: int) -> None:
    points = np.random.default_rng(seed).integers(-scale, scale + 1, N_COEFFICIENTS - 1).astype(np.int32)
    n_before = np.arange(N_COEFFICIENTS - 1, dtype=np.int32) - start
    contexts = _contexts(prepare()[1], np.int32(partial_type), n_before, points)
    np.testing.assert_array_equal(contexts[start:], expected_contexts(partial_type, points, start)[start:])


def test_neighbours_come_before_and_are_one_lower_along_their_axis() -> None:
    scan, neighbours = prepare()
    assert neighbours.shape == (3, 8, N_COEFFICIENTS - 1)
    assert neighbours.min() == -1
    for axis, stride in enumerate((64, 8, 1)):
        partial_type, position = np.nonzero(neighbours[axis] >= 0)
        neighbour = neighbours[axis, partial_type, position]
        assert (neighbour < position).all()
        difference = scan.coefficients[partial_type, position] - scan.coefficients[partial_type, neighbour]
        assert (difference == stride).all()


@pytest.mark.parametrize(
    ("total", "n_known", "context"),
    [
        (0, 0, 0),
        (0, 1, 1),
        (1, 1, 3),
        (1, 2, 2),
        (1, 3, 2),
        (255, 3, 9),
        (256, 3, 10),
        (6 * MAX_MAGNITUDE, 3, N_CONTEXTS - 1),
        (2 * MAX_MAGNITUDE, 1, N_CONTEXTS - 1),
    ],
)
def test_contexts_grow_with_the_mean_magnitude(total: int, n_known: int, context: int) -> None:
    assert int(context_of(jnp.int32(total), jnp.int32(n_known))) == context
