"""Search for the setting of a lossy codec at which a measure reaches a wanted value."""

from collections.abc import Callable

from nvc_jax.peers.codecs import LossyPeer

_MAX_ROUNDS = 20
"""Rounds of bisection at most: codecs that take only some settings, as zfp does, never come near enough."""


def find_setting(
    peer: LossyPeer, width: float, measure: Callable[[float], float], wanted: float, tolerance: float
) -> float:
    """Find the setting for ``encode_freely`` at which a measure is near a wanted value, by bisection.

    Args:
        peer: the codec.
        width: of the range of the values.
        measure: by a setting; falls as the coarseness grows, as PSNR and bits do.
        wanted: value of the measure.
        tolerance: difference at which the search ends.

    Returns:
        The last setting that was tried: the wanted value may not be reached.
    """
    low, high = peer.coarseness_limits(width)
    for _ in range(_MAX_ROUNDS):
        middle = (low + high) / 2
        setting = peer.setting_at(middle)
        excess = measure(setting) - wanted
        if abs(excess) < tolerance:
            break
        low, high = (middle, high) if excess > 0 else (low, middle)
    return setting
