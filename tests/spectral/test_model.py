import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilations import compilations
from sample_volume import SMALL_VOLUME

import nvc_jax
from nvc_jax.spectral import decoder
from nvc_jax.spectral.model import encode_by_own_range


def test_programs_are_compiled_once_for_each_shape(codec: nvc_jax.Codec) -> None:
    encode_by_own_range.clear_cache()
    decoder.decode.clear_cache()

    def run(volume: np.ndarray, step: float) -> None:
        nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume, step=step))

    first = compilations(lambda: run(SMALL_VOLUME, 0.1))
    assert len([name for name in first if "encode_by_own_range" in name]) == 1
    assert len([name for name in first if "decode" in name]) == 1
    for step in (0.1, 0.01):
        assert compilations(lambda step=step: run(SMALL_VOLUME[::-1], step)) == []


def test_runs_inside_jit_and_vmap(codec: nvc_jax.Codec) -> None:
    @jax.jit
    def process(codec: nvc_jax.Codec, volume: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        encoded = nvc_jax.encode_volume(codec, volume, step=step)
        return nvc_jax.decode_volume(codec, encoded), encoded.used

    volumes = jnp.stack([jnp.asarray(SMALL_VOLUME), jnp.asarray(SMALL_VOLUME[:, ::-1] // 2)])
    steps = jnp.array([0.01, 0.1])
    batched, used = jax.vmap(process, in_axes=(None, 0, 0))(codec, volumes, steps)
    for volume, step, decoded, n in zip(volumes, steps, batched, used, strict=True):
        alone, n_alone = process(codec, volume, step)
        assert int(n) == pytest.approx(int(n_alone), rel=0.01)
        assert np.abs(np.asarray(alone, int) - np.asarray(decoded, int)).max() <= 2


def test_runs_inside_shard_map(codec: nvc_jax.Codec) -> None:
    mesh = jax.make_mesh((jax.device_count(),), ("z",), axis_types=(jax.sharding.AxisType.Auto,))
    each, everywhere = jax.sharding.PartitionSpec("z"), jax.sharding.PartitionSpec()
    volume = jnp.asarray(SMALL_VOLUME[: 8 * jax.device_count()])

    def process(codec: nvc_jax.Codec, part: jax.Array) -> jax.Array:
        return nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, part, step=0.02))

    sharded = jax.jit(jax.shard_map(process, mesh=mesh, in_specs=(everywhere, each), out_specs=each))
    parts = [np.asarray(process(codec, part)) for part in jnp.split(volume, jax.device_count())]
    difference = np.asarray(sharded(codec, volume), int) - np.concatenate(parts).astype(int)
    assert np.abs(difference).max() <= 2


def test_bad_steps_and_mismatches_are_named(codec: nvc_jax.Codec) -> None:
    with pytest.raises(ValueError, match="`step` is missing"):
        nvc_jax.encode_volume(codec, SMALL_VOLUME)
    for step in (0.0, -1.0, 2.5, float("nan")):
        with pytest.raises(ValueError, match=r"`step` \(=.*must lie between"):
            nvc_jax.encode_volume(codec, SMALL_VOLUME, step=step)
    variant = nvc_jax.load_codec("zero-margin")
    with pytest.raises(ValueError, match="not of a dense codec"):
        nvc_jax.decode_volume(variant, nvc_jax.encode_volume(codec, SMALL_VOLUME, step=0.1))
