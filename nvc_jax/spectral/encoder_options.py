"""Options of the encoder: the choices that it may make for a volume.

A stream states every choice, so options never change how a stream is decoded. The defaults make the smallest
streams. Other values turn parts of the encoder off: ``benchmarks/ablation.py`` measures each part in this
way.
"""

import dataclasses

from nvc_jax.transform.block_modes import LAPPED, LARGE
from nvc_jax.transform.lapped_filter import FILTERS

PLAIN_CANDIDATE = ("none", LAPPED)
"""(filter, mode) pair whose blocks are those of PLAIN superblocks."""

DEFAULT_CANDIDATES = (
    PLAIN_CANDIDATE,
    ("orthonormal", LAPPED),
    ("half", LAPPED),
    ("biorthogonal", LAPPED),
    ("half", LARGE),
    ("biorthogonal", LARGE),
)
"""(filter, mode) pairs that suit most volumes."""


@dataclasses.dataclass(frozen=True)
class EncoderOptions:
    """Choices that the encoder may make; hashable, a static argument of compiled functions.

    Attributes:
        candidates: (filter, mode) pairs, of which the encoder chooses one for a volume. Filters are those of
            ``lapped_filter.FILTERS``; modes are ``block_modes.LAPPED`` or ``block_modes.LARGE``.
        tries_plain_superblocks: whether single superblocks may be PLAIN, without the filter, where that costs
            less. Their costs are taken from ``PLAIN_CANDIDATE``, which must be the first candidate.
        optimizes_integers: whether classes and integers are decided by rate and distortion. If not,
            coefficients are rounded to the nearest integer, and classes are those of the rounded integers.
            Only models of one quantiser can round.

    Raises:
        ValueError: a candidate is unknown, there is none, or the first one is not ``PLAIN_CANDIDATE`` where
            it must be.
    """

    candidates: tuple[tuple[str, int], ...] = DEFAULT_CANDIDATES
    tries_plain_superblocks: bool = True
    optimizes_integers: bool = True

    def __post_init__(self) -> None:
        is_known = all(name in FILTERS and mode in (LAPPED, LARGE) for name, mode in self.candidates)
        if not self.candidates or not is_known:
            raise ValueError(f"`candidates` (={self.candidates}) must be pairs of a filter and a mode")
        if self.tries_plain_superblocks and self.candidates[0] != PLAIN_CANDIDATE:
            raise ValueError(
                f"the first of `candidates` (={self.candidates[0]}) must be {PLAIN_CANDIDATE} "
                "to try plain superblocks"
            )


DEFAULT_OPTIONS = EncoderOptions()
"""All choices, as the codec uses them."""
