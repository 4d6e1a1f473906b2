import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spectral_blocks import layout_for, layout_of_row

import nvc_jax
from nvc_jax.spectral import block_sample, decision_tables, profile_choice, profiles
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform.block_layout import N_COEFFICIENTS

choose_profile = jax.jit(profile_choice.choose_profile)
choose_reference = jax.jit(profile_choice.choose_reference)
draw_blocks = jax.jit(block_sample.draw_blocks, static_argnums=2)
prepare_tables = jax.jit(decision_tables.prepare_tables)
STEPS = 1.35
"""Steps of one quantiser in each step of the model's two."""


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


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.3, 2.0, 20.0]))
def test_prepared_tables_and_kernels_choose_as_the_reference_does(
    codec: nvc_jax.Codec, seed: int, size: float
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.laplace(0, size, (200, N_COEFFICIENTS)) * 0.98 ** np.arange(N_COEFFICIENTS)
    values = jnp.asarray(values, jnp.float32)
    of_model, layout = codec.params["entropy"], layout_of_row(200)
    drawn, weights = draw_blocks(values, layout.inside, STEPS)
    expected = choose_reference(of_model, values[drawn] * np.float32(STEPS), weights)
    assert int(choose_profile(of_model, layout, values)) == int(expected)
    tables = prepare_tables(of_model)
    assert int(choose_profile(of_model, layout, values, tables=tables)) == int(expected)
