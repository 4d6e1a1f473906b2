import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_golden import GOLDEN

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.spectral import profiles, stream
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.transform import block_layout
from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS


@pytest.fixture(scope="module")
def model() -> EntropyModel:
    """A class model of a stored model that has one profile."""
    return EntropyModel(**nvc_jax.load_codec(GOLDEN / "model-2").params["entropy"])


@pytest.fixture(scope="module")
def quiet_and_loud(model: EntropyModel) -> dict[str, jax.Array]:
    """Two profiles: all classes of the one are the quietest, all of the other the loudest."""

    def only(name: int) -> EntropyModel:
        tables = np.where(np.arange(N_COEFFICIENTS) > 0, model.tables[name], model.tables)
        return model._replace(tables=jnp.asarray(tables, jnp.int32))

    return profiles.stack_profiles([only(0), only(-1)])


def layout_of(n: int) -> block_layout.BlockLayout:
    return block_layout.make_layout((n, 1, 1), jnp.array([BLOCK_SIZE * n, BLOCK_SIZE, BLOCK_SIZE], jnp.int32))


@pytest.mark.parametrize("n_profiles", [1, 2, 3])
def test_profiles_are_what_they_were_made_of(model: EntropyModel, n_profiles: int) -> None:
    models = [model._replace(bits=model.bits + np.float32(i)) for i in range(n_profiles)]
    stacked = profiles.stack_profiles(models)
    assert profiles.count_profiles(stacked) == n_profiles
    take = jax.jit(profiles.take_profile)
    for i, expected in enumerate(models):
        for found in (profiles.take_profile(stacked, i), take(stacked, jnp.int32(i))):
            jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_classes_of_all_profiles_have_numbers_of_their_own(model: EntropyModel) -> None:
    n_classes = len(model.tables)
    classes = jnp.arange(n_classes, dtype=jnp.int32)
    numbers = [profiles.number_classes(model, jnp.int32(i), classes) for i in range(3)]
    np.testing.assert_array_equal(np.concatenate(numbers), np.arange(3 * n_classes))


def test_the_profile_is_the_one_that_takes_the_least(quiet_and_loud: dict[str, jax.Array]) -> None:
    choose_modes = jax.jit(profiles.choose_profile)
    stacked, layout = quiet_and_loud, layout_of(200)
    rng = np.random.default_rng(0)
    loud = rng.normal(0, 8, (200, N_COEFFICIENTS)).astype(np.float32)
    assert int(choose_modes(stacked, layout, jnp.asarray(loud))) == 1
    assert int(choose_modes(stacked, layout, jnp.asarray(loud / 100))) == 0


def test_blocks_that_are_not_there_do_not_choose(quiet_and_loud: dict[str, jax.Array]) -> None:
    layout = block_layout.make_layout(
        (8, 4, 4), jnp.array([BLOCK_SIZE, 4 * BLOCK_SIZE, 4 * BLOCK_SIZE], jnp.int32)
    )
    values = np.zeros((8 * 16, N_COEFFICIENTS), np.float32)
    values[16:] = 9.0
    assert int(profiles.choose_profile(quiet_and_loud, layout, jnp.asarray(values))) == 0


def test_rates_choose_profiles_and_streams_name_them() -> None:
    codec = nvc_jax.load_codec("nvc-1")
    volume = read_volume(SAMPLE)[:32, :48, :32]
    found = []
    for step in (0.3, 0.05, 0.01, 0.002):
        encoded = nvc_jax.encode_volume(codec, volume, step=step)
        assert stream.to_bytes(encoded)[11] == int(encoded.profile)
        found.append(int(encoded.profile))
    assert found == sorted(found)
    assert len(set(found)) > 1


def test_payloads_of_other_profiles_are_refused() -> None:
    codec = nvc_jax.load_codec("nvc-1")
    volume = read_volume(SAMPLE)[:16, :16, :16]
    encoded = nvc_jax.encode_volume(codec, volume, step=0.05)
    payload = bytearray(stream.to_bytes(encoded))
    payload[11] = n_profiles = profiles.count_profiles(codec.params["entropy"])
    numbers = [float(v) for v in jax.device_get((encoded.minimum, encoded.maximum, encoded.step))]
    with pytest.raises(ValueError, match=f"profile {n_profiles} of {n_profiles}"):
        stream.from_bytes(bytes(payload), encoded.shape, encoded.dtype, *numbers, n_profiles=n_profiles)
