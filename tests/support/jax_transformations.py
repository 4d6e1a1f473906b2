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


def check_shard_map(codec: nvc_jax.Codec, *, step: float) -> None:
    """Compare chunks that all devices code, each its share of them, with the same chunks alone, bit for bit.

    Args:
        codec: the codec.
        step: of the quantiser.
    """
    mesh = jax.make_mesh((jax.device_count(),), ("chunk",), axis_types=(jax.sharding.AxisType.Auto,))
    each, everywhere = jax.sharding.PartitionSpec("chunk"), jax.sharding.PartitionSpec()
    chunks = np.stack([np.roll(VOLUME, number, axis=1) for number in range(2 * jax.device_count())])

    def encode_all(codec: nvc_jax.Codec, chunks: jax.Array) -> nvc_jax.EncodedVolume:
        return jax.lax.map(lambda chunk: nvc_jax.encode_volume(codec, chunk, step=step), chunks)

    def decode_all(codec: nvc_jax.Codec, encoded: nvc_jax.EncodedVolume) -> jax.Array:
        return jax.lax.map(lambda one: nvc_jax.decode_volume(codec, one), encoded)

    specs = {"mesh": mesh, "in_specs": (everywhere, each), "out_specs": each}
    encoded = jax.jit(jax.shard_map(encode_all, **specs))(codec, chunks)
    decoded = jax.jit(jax.shard_map(decode_all, **specs))(codec, encoded)
    assert len(decoded.devices()) == jax.device_count()
    for number, chunk in enumerate(chunks):
        alone = nvc_jax.encode_volume(codec, chunk, step=step)
        own = jax.tree.map(lambda leaf, number=number: leaf[number], encoded)
        jax.tree.map(np.testing.assert_array_equal, alone, own)
        np.testing.assert_array_equal(nvc_jax.decode_volume(codec, alone), decoded[number])
