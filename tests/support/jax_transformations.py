"""Checks that codecs run inside the transformations of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sample_volume import SMALL_VOLUME

import nvc_jax

VOLUME = SMALL_VOLUME[:, :16]
"""A cut with a partial block: programs for larger ones compile longer."""


def check_jit_and_vmap(codec: nvc_jax.Codec, *, steps: tuple[float, float], max_difference: int) -> None:
    """Compare two volumes, coded and decoded inside ``jit`` and ``vmap``, with each of them alone.

    Args:
        codec: the codec.
        steps: of the quantiser, for each of the volumes.
        max_difference: largest difference of decoded voxels, of [0, 255]: rounding differs by program.
    """

    @jax.jit
    def process(codec: nvc_jax.Codec, volume: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        encoded = nvc_jax.encode_volume(codec, volume, step=step)
        return nvc_jax.decode_volume(codec, encoded), encoded.used_bytes

    volumes = jnp.stack([jnp.asarray(VOLUME), jnp.asarray(VOLUME[:, ::-1] // 2)])
    batched, n_bytes = jax.vmap(process, in_axes=(None, 0, 0))(codec, volumes, jnp.array(steps))
    for volume, step, decoded, n in zip(volumes, jnp.array(steps), batched, n_bytes, strict=True):
        alone, n_alone = process(codec, volume, step)
        assert int(n) == pytest.approx(int(n_alone), rel=0.01)
        assert np.abs(np.asarray(alone, int) - np.asarray(decoded, int)).max() <= max_difference


def check_shard_map(codec: nvc_jax.Codec, *, step: float, max_difference: int) -> None:
    """Compare a volume that several devices code and decode in parts with the same parts one by one.

    Args:
        codec: the codec.
        step: of the quantiser.
        max_difference: largest difference of decoded voxels, of [0, 255].
    """
    mesh = jax.make_mesh((jax.device_count(),), ("z",), axis_types=(jax.sharding.AxisType.Auto,))
    each, everywhere = jax.sharding.PartitionSpec("z"), jax.sharding.PartitionSpec()
    volume = jnp.asarray(VOLUME[: 8 * jax.device_count()])

    def process(codec: nvc_jax.Codec, part: jax.Array) -> jax.Array:
        return nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, part, step=step))

    sharded = jax.jit(jax.shard_map(process, mesh=mesh, in_specs=(everywhere, each), out_specs=each))
    parts = [np.asarray(process(codec, part)) for part in jnp.split(volume, jax.device_count())]
    difference = np.asarray(sharded(codec, volume), int) - np.concatenate(parts).astype(int)
    assert np.abs(difference).max() <= max_difference
