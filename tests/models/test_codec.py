from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_params import draw_params

from nvc_jax import Codec, decode_volume, encode_volume, load_codec
from nvc_jax.autoencoder.config import ConvolutionalConfig, DenseConfig
from nvc_jax.models.checkpoints import load_checkpoint, save_checkpoint, shipped_models
from nvc_jax.models.codec import load_shared

CONFIGS = {
    "no margin": DenseConfig(block_size=4, margin=0, hidden_sizes=(16,), latent_dim=8),
    "margin": DenseConfig(block_size=4, margin=1, hidden_sizes=(16,), latent_dim=8),
    "wide margin": DenseConfig(block_size=4, margin=4, hidden_sizes=(16,), latent_dim=8),
    "convolutional": ConvolutionalConfig(block_size=4, margin=2, channels=(4,), latent_dim=8),
}


def make_codec(name: str) -> Codec:
    config = CONFIGS[name]
    return Codec(config, draw_params(config))


def make_volume(shape: tuple[int, int, int], dtype: str = "uint8") -> np.ndarray:
    values = np.random.default_rng(0).uniform(1, 200, shape)
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_dtype_and_shape_come_back(dtype: str) -> None:
    codec = make_codec("margin")
    volume = make_volume((5, 9, 3), dtype)
    decoded = decode_volume(codec, encode_volume(codec, volume))
    assert (decoded.shape, decoded.dtype) == (volume.shape, volume.dtype)
    assert volume.min() <= decoded.min() <= decoded.max() <= volume.max()


def test_constant_volume_is_exact() -> None:
    codec = make_codec("margin")
    volume = np.full((6, 6, 6), 7, np.uint8)
    np.testing.assert_array_equal(decode_volume(codec, encode_volume(codec, volume)), volume)


@pytest.mark.parametrize("name", ["no margin", "margin"])
def test_runs_inside_jit_and_vmap(name: str) -> None:
    codec = make_codec(name)
    volumes = jnp.stack([jnp.asarray(make_volume((6, 8, 10))), jnp.asarray(make_volume((6, 8, 10)) // 2)])

    def round_trip(codec: Codec, volume: jax.Array) -> jax.Array:
        return decode_volume(codec, encode_volume(codec, volume))

    alone = jnp.stack([round_trip(codec, volume) for volume in volumes])
    together = jax.jit(jax.vmap(round_trip, in_axes=(None, 0)))(codec, volumes)
    assert jnp.abs(alone.astype(jnp.int32) - together.astype(jnp.int32)).max() <= 1


@pytest.mark.parametrize("name", ["no margin", "margin"])
def test_runs_inside_shard_map(name: str) -> None:
    codec = make_codec(name)
    mesh = jax.make_mesh((jax.device_count(),), ("z",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec
    volume = jnp.asarray(make_volume((8 * jax.device_count(), 8, 8)))

    def round_trip(codec: Codec, part: jax.Array) -> jax.Array:
        return decode_volume(codec, encode_volume(codec, part))

    sharded = jax.shard_map(round_trip, mesh=mesh, in_specs=(spec(), spec("z")), out_specs=spec("z"))
    with jax.set_mesh(mesh):
        decoded = np.asarray(jax.jit(sharded)(codec, volume)).astype(int)
    parts = [np.asarray(round_trip(codec, part)) for part in jnp.split(volume, jax.device_count())]
    assert np.abs(decoded - np.concatenate(parts).astype(int)).max() <= 1


def test_bad_volumes_are_named() -> None:
    codec = make_codec("margin")
    with pytest.raises(ValueError, match=r"`volume` has shape \(3, 4\)"):
        encode_volume(codec, np.zeros((3, 4), np.uint8))
    with pytest.raises(ValueError, match="no side may be empty"):
        encode_volume(codec, np.zeros((3, 0, 4), np.uint8))
    with pytest.raises(TypeError, match="`volume` has dtype int32"):
        encode_volume(codec, np.zeros((3, 4, 5), np.int32))
    with pytest.raises(ValueError, match="2 values that are not finite"):
        encode_volume(codec, np.array([[[0, np.nan, np.inf]]], np.float32))


def test_foreign_latents_and_modes_are_refused() -> None:
    codec = make_codec("margin")
    encoded = encode_volume(codec, make_volume((5, 5, 5)))
    with pytest.raises(ValueError, match=r"`mode` \(='average'\)"):
        decode_volume(codec, encoded, mode="average")
    other = Codec(DenseConfig(latent_dim=3), None)
    with pytest.raises(ValueError, match=r"`encoded.latents` has shape \(2, 2, 2, 8\)"):
        decode_volume(other, encoded)


def test_shipped_models_are_shared_and_others_are_not(tmp_path: Path) -> None:
    name = "zero-margin"
    assert load_shared(name) is load_shared(shipped_models()[name])
    assert load_codec(name).params is not load_codec(name).params
    jax.tree.map(np.testing.assert_array_equal, load_shared(name).params, load_codec(name).params)
    with pytest.raises(ValueError, match="read-only"):
        jax.tree.leaves(load_shared(name).params)[0][...] = 0

    path = tmp_path / "mine"
    save_checkpoint(path, *load_checkpoint(name), "# mine")
    assert load_shared(path).config == load_codec(path).config
    assert load_shared(path) is not load_shared(path)
