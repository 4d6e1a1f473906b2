"""The chunks of a sample through a codec of another library."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nvc_jax.comparison.subject import Subject
from nvc_jax.comparison.trial import Quality, measure_quality
from nvc_jax.core.concurrency import map_in_order
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

    def run(setting: float) -> PeerTrial:
        return _try(subject, lambda chunk: peer.encode_freely(chunk, setting), peer.decode)

    setting = find_setting(
        peer, subject.value_range.width, lambda setting: run(setting).quality.psnr_db, psnr, _NEAR_DB
    )
    return run(setting)


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
) -> PeerTrial:
    """Encode and decode the chunks of the sample, as many at a time as nvc does.

    Args:
        subject: the volume.
        encode: encodes a chunk.
        decode: decodes one, given its shape and dtype.
        convert: makes of values, and what of them is valid, the chunk that is encoded; not timed.
    """
    chunks = [np.ascontiguousarray(values) for values in map(subject.read, subject.sample)]
    chunks = [convert(values, subject.mark_valid(values)) for values in chunks]
    start = time.perf_counter()
    coded = list(map_in_order(encode, chunks))
    encoded = time.perf_counter()
    pairs = zip(coded, chunks, strict=True)
    decoded = list(map_in_order(lambda pair: decode(pair[0], pair[1].shape, pair[1].dtype), pairs))
    decode_seconds = time.perf_counter() - encoded
    return PeerTrial(sum(map(len, coded)), measure_quality(subject, decoded), encoded - start, decode_seconds)
