import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.spectral import dc_costs
from nvc_jax.spectral.line_costs import estimate_cost
from nvc_jax.transform import separable
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import TransformShape

PADDED = (48, 32, 64)
STEP = jnp.float32(0.02)

make_axis_transforms = jax.jit(separable.make_axis_transforms, static_argnums=0)
forward = jax.jit(separable.forward)
LENGTHS = tuple(range(len(SEGMENT_LENGTHS)))

estimate, sum_blocks = jax.jit(estimate_cost), jax.jit(dc_costs.sum_blocks)
costs_of_dc = jax.jit(partial(dc_costs.costs_of_dc, lengths=LENGTHS))

valid_shapes = st.tuples(*(st.one_of(st.just(side), st.integers(1, side)) for side in PADDED))
lengths = st.tuples(*[st.integers(0, len(SEGMENT_LENGTHS) - 1)] * 3)


def make_volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, PADDED).astype(np.float32)


@given(valid_shapes, lengths, st.integers(0, 5))
def test_the_cost_is_that_of_the_differences_that_are_cheapest(
    valid_shape: Shape3, segments: Shape3, seed: int
) -> None:
    volume, valid = jnp.asarray(make_volume(seed)), jnp.array(valid_shape, jnp.int32)
    shape = TransformShape(jnp.array(segments, jnp.int32), jnp.full(3, FILTERS.index("none"), jnp.int32))
    transforms = make_axis_transforms(PADDED, valid, shape, jnp.int32(0))
    inside = tuple(map(slice, valid_shape))
    padded = np.zeros(PADDED, np.float32)
    padded[inside] = volume[inside]
    first = np.asarray(forward(padded, transforms))[:, 0].reshape([side // 8 for side in PADDED])
    dc = first[np.ix_(*(np.flatnonzero(transform.is_dc) for transform in transforms))]
    costs = []
    for axes in itertools.chain.from_iterable(itertools.combinations(range(3), n) for n in range(4)):
        differences = dc
        for axis in axes:
            differences = np.diff(differences, axis=axis, prepend=0)
        filled = np.zeros(first.size, np.float32)  # of one size, for one program; zeros cost nothing
        filled[: differences.size] = differences.ravel()
        costs.append(float(np.sum(estimate(filled, STEP))))
    cost = costs_of_dc(sum_blocks(volume, valid), STEP, valid)[segments]
    assert float(cost) == pytest.approx(min(costs), rel=1e-3, abs=1e-3)


def test_voxels_beyond_the_volume_do_not_count() -> None:
    volume, valid = make_volume(0), jnp.array((41, 32, 9), jnp.int32)
    other = volume.copy()
    other[41:], other[:, :, 9:] = 7, 9
    np.testing.assert_array_equal(
        sum_blocks(jnp.asarray(other), valid), sum_blocks(jnp.asarray(volume), valid)
    )
