"""Conclusions of a comparison in words: which codec to use, also if it is not nvc."""

from collections.abc import Sequence

from nvc_jax.comparison.compare import ComparedCodec
from nvc_jax.core.chunk_interfaces import QualityTarget

_MISSED_DB = 0.5
"""Decibels below the wanted PSNR from which on it is missed: zfp has settings about 6 dB apart."""
_CLOSE = 1.02
"""Ratio of bits below which codecs are told to take about the same."""
_MUCH_FASTER = 2.0
"""Ratio of speeds from which on a faster codec is worth a word."""


def describe_target(target: QualityTarget) -> str:
    """Name a quality target for people, such as ``relative error 0.001``."""
    ((name, value),) = target.items()
    words = {"psnr": f"{value:g} dB", "lossless": "lossless"}
    return words.get(name, f"{name.replace('_', ' ')} {value:g}")


def judge(rows: Sequence[ComparedCodec]) -> str:
    """Say which codec takes the fewest bits at one target, and which is much faster.

    Args:
        rows: of one target, nvc first.
    """
    own, *others = rows
    if not others:
        return f"{describe_target(own.target)}: {own.codec} takes {own.bits_per_voxel:.3g} bits per voxel."
    best = min(filter(_reaches_target, others), key=lambda row: row.bits_per_voxel, default=None)
    if best is None:
        return f"{describe_target(own.target)}: use {own.codec}: no other codec reaches it."
    factor = best.bits_per_voxel / own.bits_per_voxel
    if factor > _CLOSE:
        verdict = f"use {own.codec}: {best.codec}, the next best, takes {factor:.2f} times its bits"
    elif factor >= 1 / _CLOSE:
        verdict = f"{own.codec} and {best.codec} take about the same bits"
    else:
        verdict = f"use {best.codec}: {own.codec} takes {1 / factor:.2f} times its bits on this volume"
    fastest = max(others, key=lambda row: row.encode_mb_per_second)
    speed = fastest.encode_mb_per_second / own.encode_mb_per_second
    if speed >= _MUCH_FASTER:
        cost = fastest.bits_per_voxel / own.bits_per_voxel
        reached = "" if _reaches_target(fastest) else f", but reaches {fastest.psnr_db:.1f} dB"
        verdict += (
            f"; {fastest.codec} encodes {speed:.0f} times as fast, with {cost:.2f} times the bits{reached}"
        )
    return f"{describe_target(own.target)}: {verdict}."


def _reaches_target(row: ComparedCodec) -> bool:
    """Tell whether a codec reaches the PSNR that was asked for; bounds are always kept."""
    return row.psnr_db >= row.target.get("psnr", 0.0) - _MISSED_DB
