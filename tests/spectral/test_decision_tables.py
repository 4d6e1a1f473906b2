import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nvc_jax
from nvc_jax.spectral import decision_tables, profiles

prepare_tables, take_tables = jax.jit(decision_tables.prepare_tables), jax.jit(decision_tables.take_tables)


@pytest.mark.parametrize("index", [0, 3])
def test_prepared_tables_are_those_of_the_profile(codec: nvc_jax.Codec, index: int) -> None:
    of_model = codec.params["entropy"]
    prepared = prepare_tables(of_model)
    assert len(prepared.costs.zero_cost) == profiles.count_profiles(of_model)
    taken = take_tables(of_model, jnp.int32(index), prepared=prepared)
    jax.tree.map(np.testing.assert_allclose, taken, take_tables(of_model, jnp.int32(index)))


def test_a_single_profile_has_tables_too(codec: nvc_jax.Codec) -> None:
    model = profiles.take_profile(codec.params["entropy"], 1)
    alone = prepare_tables(profiles.stack_profiles([model]))
    expected = take_tables(codec.params["entropy"], jnp.int32(1))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one[0], other), alone, expected)
