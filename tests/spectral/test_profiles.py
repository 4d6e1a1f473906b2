import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import layout_for, layout_of_row

import nvc_jax
from nvc_jax.spectral import profiles
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform.block_layout import N_COEFFICIENTS

choose_profile = jax.jit(profiles.choose_profile)


@pytest.fixture(scope="module")
def model(codec: nvc_jax.Codec) -> EntropyModel:
    """The entropy model of one profile."""
    return profiles.take_profile(codec.params["entropy"], 1)


@pytest.fixture(scope="module")
def low_and_high(model: EntropyModel) -> dict[str, jax.Array]:
    """Two profiles: all classes of one have the lowest energy, all of the other the highest."""

    def of_one_class(index: int) -> EntropyModel:
        tables = np.where(np.arange(N_COEFFICIENTS) > 0, model.tables[index], model.tables)
        return model._replace(tables=jnp.asarray(tables, jnp.int32))

    return profiles.stack_profiles([of_one_class(0), of_one_class(-1)])


@pytest.mark.parametrize("n_profiles", [1, 2, 3])
def test_profiles_are_the_models_that_were_stacked(model: EntropyModel, n_profiles: int) -> None:
    models = [model._replace(bits=model.bits + np.float32(i)) for i in range(n_profiles)]
    stacked = profiles.stack_profiles(models)
    assert profiles.count_profiles(stacked) == n_profiles
    take = jax.jit(profiles.take_profile)
    for i, expected in enumerate(models):
        for taken in (profiles.take_profile(stacked, i), take(stacked, jnp.int32(i))):
            jax.tree.map(np.testing.assert_array_equal, taken, expected)


def test_profiles_have_the_names_that_checkpoints_store(codec: nvc_jax.Codec, model: EntropyModel) -> None:
    stored = codec.params["entropy"]
    for n_profiles in (1, 2):
        assert profiles.stack_profiles([model] * n_profiles).keys() == stored.keys()


def test_the_profile_is_the_one_that_takes_the_least(low_and_high: dict[str, jax.Array]) -> None:
    stacked, layout = low_and_high, layout_of_row(200)
    rng = np.random.default_rng(0)
    values = rng.normal(0, 8, (200, N_COEFFICIENTS)).astype(np.float32)
    assert int(choose_profile(stacked, layout, jnp.asarray(values))) == 1
    assert int(choose_profile(stacked, layout, jnp.asarray(values / 100))) == 0


def test_blocks_outside_the_volume_do_not_count(low_and_high: dict[str, jax.Array]) -> None:
    layout = layout_for((64, 32, 32), (8, 32, 32))
    values = np.zeros((8 * 16, N_COEFFICIENTS), np.float32)
    values[16:] = 9.0
    assert int(choose_profile(low_and_high, layout, jnp.asarray(values))) == 0
