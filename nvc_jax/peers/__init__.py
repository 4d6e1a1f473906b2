"""Other codecs for scientific volumes, by which nvc-1 is measured: SPERR, SZ3, zfp, Zstandard and Blosc2.

Read ``codecs`` first: one object for each codec, with the same few functions. ``settings`` searches for the
setting of a lossy codec at which a measure, such as a PSNR or a number of bits, is reached. ``inputs`` makes
of a volume what the lossy codecs take: floats without missing values.

The libraries come through ``imagecodecs`` (extra ``compare``), which is imported when a codec is first used.
The package knows nothing of nvc-1, of containers or of files.
"""

from nvc_jax.peers.codecs import LOSSLESS_PEERS, LOSSY_PEERS, LosslessPeer, LossyPeer, find_peers

__all__ = ["LOSSLESS_PEERS", "LOSSY_PEERS", "LosslessPeer", "LossyPeer", "find_peers"]
