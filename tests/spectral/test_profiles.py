import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nvc_jax
from nvc_jax.spectral import profiles
from nvc_jax.spectral.entropy_model import EntropyModel


@pytest.fixture(scope="module")
def model(codec: nvc_jax.Codec) -> EntropyModel:
    """The entropy model of one profile."""
    return profiles.take_profile(codec.params["entropy"], 1)


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
