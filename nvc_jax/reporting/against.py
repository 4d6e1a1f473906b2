"""An excerpt coded by codecs of other libraries, at the same bound or in as many bits."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nvc_jax.evaluation.metrics import quality
from nvc_jax.peers.codecs import LossyPeer
from nvc_jax.peers.inputs import as_floats
from nvc_jax.peers.settings import find_setting
from nvc_jax.reporting.excerpt import Excerpt

_NEAR_BITS = 0.01
"""Relative difference of bits at which a search for equal bits ends."""


@dataclasses.dataclass(frozen=True)
class Copy:
    """An excerpt that a codec encoded and decoded.

    Attributes:
        name: of the codec.
        version: of its library.
        errors: float64 (z, y, x), decoded − original; NaN where the original is no measurement.
        figures: those of ``evaluation.quality``.
    """

    name: str
    version: str
    errors: np.ndarray
    figures: dict[str, float]


def measure_copy(name: str, version: str, excerpt: Excerpt, decoded: np.ndarray, stored_bytes: int) -> Copy:
    """Measure what a codec made of an excerpt.

    Args:
        name: of the codec.
        version: of its library.
        excerpt: the original.
        decoded: (z, y, x), of any real dtype.
        stored_bytes: bytes that the codec took.
    """
    figures = quality(excerpt.original, decoded, stored_bytes, valid=excerpt.valid)
    original, _ = excerpt.floats
    return Copy(name, version, decoded.astype(np.float64) - original, figures)


def encode_by_peers(excerpt: Excerpt, peers: Sequence[LossyPeer], bound: float | None) -> list[Copy]:
    """Encode an excerpt by other codecs, in one piece, and decode it.

    Args:
        excerpt: which they take as floats; the mean stands where values are missing.
        peers: the codecs.
        bound: largest error, in the volume's units; None or 0 for as many bits as the container takes.
    """
    values = as_floats(excerpt.original, excerpt.valid)
    copies = []
    for peer in peers:
        data = peer.encode(values, bound) if bound else _encode_to_bytes(peer, values, excerpt.stored_bytes)
        decoded = peer.decode(data, values.shape, values.dtype)
        copies.append(measure_copy(peer.name, peer.version, excerpt, decoded, len(data)))
    return copies


def _encode_to_bytes(peer: LossyPeer, values: np.ndarray, n_bytes: int) -> bytes:
    """Encode values to about a number of bytes."""
    width = float(values.max()) - float(values.min())
    if width == 0:
        return peer.encode(values, 1.0)
    setting = find_setting(
        peer,
        width,
        lambda setting: len(peer.encode_freely(values, setting)),
        n_bytes,
        tolerance=_NEAR_BITS * n_bytes,
    )
    return peer.encode_freely(values, setting)
