"""Trial of a codec of another library: it encodes and decodes the chunks of a sample."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nvc_jax.comparison.subject import Subject
from nvc_jax.comparison.trial import REPEATS, Quality, measure_quality, time_call
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.peers.codecs import LosslessPeer, LossyPeer
from nvc_jax.peers.inputs import as_floats
from nvc_jax.peers.settings import find_setting

_NEAR_DB = 0.1
"""Distance from the wanted PSNR at which the search for a setting ends."""


class PeerTrial(NamedTuple):
    """Chunks of the sample through another codec.

    Attributes:
        n_bytes: of the encoded chunks.
        quality: of their values.
        encode_seconds, decode_seconds: of all chunks of the sample, several at a time.
    """

    n_bytes: int
    quality: Quality
    encode_seconds: float
    decode_seconds: float


def try_bound(subject: Subject, peer: LossyPeer, bound: float) -> PeerTrial:
    """Encode and decode the sample with an absolute error bound above 0."""
    return _try(subject, lambda chunk: peer.encode(chunk, bound), peer.decode)


def try_psnr(subject: Subject, peer: LossyPeer, psnr: float) -> PeerTrial:
    """Encode and decode the sample with the setting that reaches a PSNR on all its chunks together."""

    def run(setting: float, n_repeats: int = 1) -> PeerTrial:
        return _try(
            subject, lambda chunk: peer.encode_freely(chunk, setting), peer.decode, n_repeats=n_repeats
        )

    setting = find_setting(
        peer, subject.value_range.width, lambda setting: run(setting).quality.psnr_db, psnr, _NEAR_DB
    )
    return run(setting, REPEATS)


def try_lossless(subject: Subject, peer: LosslessPeer) -> PeerTrial:
    """Encode and decode the sample without loss, in its own dtype."""

    def decode(data: bytes, shape: Any, dtype: Any) -> np.ndarray:
        return np.frombuffer(peer.decode(data), dtype).reshape(shape)

    return _try(subject, peer.encode, decode, convert=lambda values, _valid: values)


def _try(
    subject: Subject,
    encode: Callable[[np.ndarray], bytes],
    decode: Callable[[bytes, Any, Any], np.ndarray],
    convert: Callable[[np.ndarray, np.ndarray], np.ndarray] = as_floats,
    n_repeats: int = REPEATS,
) -> PeerTrial:
    """Encode and decode the chunks of the sample, as many at a time as nvc does.

    Args:
        subject: the volume.
        encode: encodes a chunk, or one step of it: (z, y, x).
        decode: decodes one, given its shape and dtype.
        convert: makes of values, and what of them is valid, the chunk that is encoded; not timed.
        n_repeats: times that encoding and decoding are run where they take less than a second.
    """
    chunks = [np.ascontiguousarray(values) for values in map(subject.read, subject.sample)]
    chunks = [convert(values, subject.mark_valid(values)) for values in chunks]

    def encode_steps(chunk: np.ndarray) -> list[bytes]:
        return [encode(step) for step in chunk.reshape(-1, *chunk.shape[-N_SPATIAL:])]

    encode_seconds, coded = time_call(lambda: list(map_in_order(encode_steps, chunks)), n_repeats)

    def decode_pair(pair: tuple[list[bytes], np.ndarray]) -> np.ndarray:
        data, chunk = pair
        steps = [decode(step, chunk.shape[-N_SPATIAL:], chunk.dtype) for step in data]
        return steps[0] if chunk.ndim == N_SPATIAL else np.stack(steps)

    pairs = list(zip(coded, chunks, strict=True))
    decode_seconds, decoded = time_call(lambda: list(map_in_order(decode_pair, pairs)), n_repeats)
    n_bytes = sum(len(step) for steps in coded for step in steps)
    return PeerTrial(n_bytes, measure_quality(subject, decoded), encode_seconds, decode_seconds)
