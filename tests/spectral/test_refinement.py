import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.parameters import Params
from nvc_jax.spectral import refinement
from nvc_jax.spectral.refinement import (
    N_BLOCK_FEATURES,
    N_FEATURES,
    N_NEIGHBOR_FEATURES,
    init_refinement,
    refine,
    refinement_features,
)

GRID = (2, 3, 4)
N_BLOCKS, N_COEFFICIENTS, N_CLASSES, N_FILTER_MODES = 24, 80, 5, 3


def blocks(seed: int = 0) -> tuple[jax.Array, jax.Array, jax.Array]:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 30, (N_BLOCKS, N_COEFFICIENTS)).astype(np.float32)
    classes, filter_modes = (
        rng.integers(N_CLASSES, size=N_BLOCKS),
        rng.integers(N_FILTER_MODES, size=N_BLOCKS),
    )
    return jnp.asarray(values), jnp.asarray(classes, jnp.int32), jnp.asarray(filter_modes, jnp.int32)


ORDER = jnp.asarray(1 + np.random.default_rng(9).permutation(N_COEFFICIENTS - 1), jnp.int32)


def refine_blocks(
    params: Params, values: jax.Array, classes: jax.Array, filter_modes: jax.Array
) -> jax.Array:
    return refine(params, values, ORDER, classes, filter_modes, GRID)


def random_params() -> Params:
    """Parameters that are all random, unlike trained ones."""
    params = init_refinement(N_COEFFICIENTS, N_CLASSES, N_FILTER_MODES, key=jax.random.key(0))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return jax.tree.unflatten(
        tree, [0.3 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    )


def test_fresh_parameters_change_nothing() -> None:
    params = init_refinement(N_COEFFICIENTS, N_CLASSES, N_FILTER_MODES, key=jax.random.key(0))
    np.testing.assert_array_equal(refine_blocks(params, *blocks()), np.zeros((N_BLOCKS, N_COEFFICIENTS)))


def test_shapes_are_known_before_there_are_parameters() -> None:
    abstract = refinement.abstract_refinement(N_COEFFICIENTS, N_CLASSES, N_FILTER_MODES)
    params = refinement.to_stored_dtypes(
        init_refinement(N_COEFFICIENTS, N_CLASSES, N_FILTER_MODES, key=jax.random.key(0))
    )
    described = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (abstract, params))
    assert described[0] == described[1]


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6])
def test_refinements_are_finite_and_bounded(scale: float) -> None:
    values, classes, filter_modes = blocks()
    refinements = refine_blocks(random_params(), values * jnp.float32(scale), classes, filter_modes)
    assert refinements.shape == values.shape
    assert refinements.dtype == jnp.float32
    assert 0 < np.abs(refinements).max() <= refinement.MAX_REFINEMENT


def test_features_are_those_of_the_block_and_its_six_neighbours() -> None:
    values, *_ = blocks()
    features = np.asarray(refinement_features(values, ORDER, GRID)).reshape(*GRID, N_FEATURES)
    field = np.asarray(values)[:, np.concatenate([[0], ORDER])].reshape(*GRID, N_COEFFICIENTS)
    of_block, of_neighbours = np.split(features, [N_BLOCK_FEATURES], axis=-1)
    of_neighbours = of_neighbours.reshape(*GRID, 6, N_NEIGHBOR_FEATURES)
    expected = np.arcsinh(field[..., 1 : N_BLOCK_FEATURES + 1])
    np.testing.assert_allclose(of_block, expected, rtol=1e-5)
    offsets = [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]
    for neighbour, offset in enumerate(offsets):
        for block in np.ndindex(GRID):
            beside = tuple(np.add(block, offset))
            expected = np.zeros(N_NEIGHBOR_FEATURES)
            if all(0 <= index < length for index, length in zip(beside, GRID, strict=True)):
                expected = np.arcsinh(field[beside][:N_NEIGHBOR_FEATURES])
                expected[0] = np.arcsinh(field[beside][0] - field[block][0])
            np.testing.assert_allclose(of_neighbours[*block, neighbour], expected, rtol=1e-5, atol=1e-6)


def test_dc_counts_only_by_its_differences() -> None:
    params, (values, classes, filter_modes) = random_params(), blocks()
    values = jnp.round(values)
    shifted = values.at[:, 0].add(4096)
    np.testing.assert_array_equal(
        refine_blocks(params, values, classes, filter_modes),
        refine_blocks(params, shifted, classes, filter_modes),
    )


def test_gains_silence_classes() -> None:
    params, (values, classes, filter_modes) = random_params(), blocks()
    params["gains"] = jnp.ones(N_CLASSES).at[2].set(0)
    changed = np.any(np.asarray(refine_blocks(params, values, classes, filter_modes)) != 0, axis=1)
    np.testing.assert_array_equal(changed, np.asarray(classes) != 2)


def test_runs_inside_jit_vmap_and_shard_map() -> None:
    params, (values, classes, filter_modes) = random_params(), blocks()
    expected = refine_blocks(params, values, classes, filter_modes)
    on_host = jax.tree.map(np.asarray, params)  # like parameters of a checkpoint
    closed = jax.jit(lambda *blocks: refine_blocks(on_host, *blocks))
    np.testing.assert_allclose(closed(values, classes, filter_modes), expected, atol=1e-4)

    def process(params: Params, *blocks: jax.Array) -> jax.Array:
        return refine_blocks(params, *blocks)

    stacked = [jnp.stack([x, x[::-1]]) for x in (values, classes, filter_modes)]
    batched = jax.jit(jax.vmap(process, in_axes=(None, 0, 0, 0)))(params, *stacked)
    np.testing.assert_allclose(batched[0], expected, atol=1e-4)

    mesh = jax.make_mesh((2,), ("volume",), axis_types=(jax.sharding.AxisType.Auto,))
    each, everywhere = jax.sharding.PartitionSpec("volume"), jax.sharding.PartitionSpec()
    sharded = jax.jit(
        jax.shard_map(process, mesh=mesh, in_specs=(everywhere, each, each, each), out_specs=each)
    )(params, *(x.reshape(-1, *x.shape[2:]) for x in stacked))
    np.testing.assert_allclose(sharded[:N_BLOCKS], expected, atol=1e-4)
    np.testing.assert_allclose(sharded[N_BLOCKS:], batched[1], atol=1e-4)
