"""Cuts of the sample volume."""

from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume

VOLUME = read_volume(SAMPLE)[:37, :40, :27]
"""A cut that neither chunks nor shards divide."""
CHUNK, SHARD = (16, 16, 16), (32, 32, 32)
N_CHUNKS = 3 * 3 * 2

SMALL_VOLUME = read_volume(SAMPLE)[:16, :24, 20:41]
"""A cut that is encoded in one piece; its last blocks of 8³ along x are partial ones."""
