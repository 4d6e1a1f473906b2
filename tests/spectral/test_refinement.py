import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.autoencoder.networks import Params
from nvc_jax.spectral import refinement
from nvc_jax.spectral.refinement import (
    N_FEATURES,
    N_OWN,
    N_SHARED,
    init_refinement,
    refine,
    refinement_features,
)

GRID = (2, 3, 4)
N_BLOCKS, N_COEFFICIENTS, N_CLASSES, N_FILTER_MODES = 24, 80, 5, 3


def blocks(seed: int = 0) -> tuple[jax.Array, jax.Array, jax.Array]:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 30, (N_BLOCKS, N_COEFFICIENTS)).astype(np.float32)
    classes, ways = rng.integers(N_CLASSES, size=N_BLOCKS), rng.integers(N_FILTER_MODES, size=N_BLOCKS)
    return jnp.asarray(values), jnp.asarray(classes, jnp.int32), jnp.asarray(ways, jnp.int32)


ORDER = jnp.asarray(1 + np.random.default_rng(9).permutation(N_COEFFICIENTS - 1), jnp.int32)


def refine_blocks(params: Params, values: jax.Array, classes: jax.Array, ways: jax.Array) -> jax.Array:
    return refine(params, values, ORDER, classes, ways, GRID)


def random_params() -> Params:
    """Every parameter random: as no training would leave them."""
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
    params = refinement.stored(
        init_refinement(N_COEFFICIENTS, N_CLASSES, N_FILTER_MODES, key=jax.random.key(0))
    )
    described = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (abstract, params))
    assert described[0] == described[1]


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6])
def test_corrections_are_finite_and_bounded(scale: float) -> None:
    values, classes, ways = blocks()
    corrections = refine_blocks(random_params(), values * jnp.float32(scale), classes, ways)
    assert corrections.shape == values.shape
    assert corrections.dtype == jnp.float32
    assert 0 < np.abs(corrections).max() <= refinement.MAX_CORRECTION


def test_features_are_those_of_the_block_and_its_six_neighbours() -> None:
    values, *_ = blocks()
    features = np.asarray(refinement_features(values, ORDER, GRID)).reshape(*GRID, N_FEATURES)
    field = np.asarray(values)[:, np.concatenate([[0], ORDER])].reshape(*GRID, N_COEFFICIENTS)
    own, boundaries = features[..., : N_OWN - 1], features[..., N_OWN - 1 :].reshape(*GRID, 6, N_SHARED)
    np.testing.assert_allclose(own, np.arcsinh(field[..., 1:N_OWN]), rtol=1e-5)
    offsets = [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]
    for face, offset in enumerate(offsets):
        for place in np.ndindex(GRID):
            beside = tuple(np.add(place, offset))
            expected = np.zeros(N_SHARED)
            if all(0 <= at < length for at, length in zip(beside, GRID, strict=True)):
                expected = np.arcsinh(field[beside][:N_SHARED])
                expected[0] = np.arcsinh(field[beside][0] - field[place][0])
            np.testing.assert_allclose(boundaries[*place, face], expected, rtol=1e-5, atol=1e-6)


def test_means_count_only_by_their_differences() -> None:
    params, (values, classes, ways) = random_params(), blocks()
    values = jnp.round(values)
    shifted = values.at[:, 0].add(4096)
    np.testing.assert_array_equal(
        refine_blocks(params, values, classes, ways), refine_blocks(params, shifted, classes, ways)
    )


def test_gains_silence_classes() -> None:
    params, (values, classes, ways) = random_params(), blocks()
    params["gains"] = jnp.ones(N_CLASSES).at[2].set(0)
    changed = np.any(np.asarray(refine_blocks(params, values, classes, ways)) != 0, axis=1)
    np.testing.assert_array_equal(changed, np.asarray(classes) != 2)


def test_runs_inside_jit_vmap_and_shard_map() -> None:
    params, (values, classes, ways) = random_params(), blocks()
    expected = refine_blocks(params, values, classes, ways)
    on_host = jax.tree.map(np.asarray, params)  # as a checkpoint brings them
    closed = jax.jit(lambda *given: refine_blocks(on_host, *given))
    np.testing.assert_allclose(closed(values, classes, ways), expected, atol=1e-4)

    def process(params: Params, *given: jax.Array) -> jax.Array:
        return refine_blocks(params, *given)

    stacked = [jnp.stack([x, x[::-1]]) for x in (values, classes, ways)]
    batched = jax.jit(jax.vmap(process, in_axes=(None, 0, 0, 0)))(params, *stacked)
    np.testing.assert_allclose(batched[0], expected, atol=1e-4)

    mesh = jax.make_mesh((2,), ("volume",), axis_types=(jax.sharding.AxisType.Auto,))
    each, everywhere = jax.sharding.PartitionSpec("volume"), jax.sharding.PartitionSpec()
    sharded = jax.jit(
        jax.shard_map(process, mesh=mesh, in_specs=(everywhere, each, each, each), out_specs=each)
    )(params, *(x.reshape(-1, *x.shape[2:]) for x in stacked))
    np.testing.assert_allclose(sharded[:N_BLOCKS], expected, atol=1e-4)
    np.testing.assert_allclose(sharded[N_BLOCKS:], batched[1], atol=1e-4)
