"""The sample volume, cut so that neither chunks nor shards divide it."""

from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume

VOLUME = read_volume(SAMPLE)[:37, :40, :43]
CHUNK, SHARD = (16, 16, 16), (32, 32, 32)
N_CHUNKS = 3 * 3 * 3
