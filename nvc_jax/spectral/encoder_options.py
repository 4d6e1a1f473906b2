"""Options of the encoder: the choices that it may make for a volume.

A stream states every choice, so options never change how a stream is decoded. The defaults make the smallest
streams. Other values turn parts of the encoder off: ``benchmarks/ablation.py`` measures each part in this
way.
"""

import dataclasses

from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS


@dataclasses.dataclass(frozen=True)
class EncoderOptions:
    """Choices that the encoder may make; hashable, a static argument of compiled functions.

    Attributes:
        segment_lengths: lengths of segments, from which the encoder chooses one for each axis; some of
            ``segments.SEGMENT_LENGTHS``.
        filters: filters, from which it chooses one for each axis; some of ``lapped_filter.FILTERS``.
        optimizes_integers: whether classes and integers are decided by rate and distortion. If not,
            coefficients are rounded to the nearest integer, and classes are those of the rounded integers.
            Only models of one quantiser can round.

    Raises:
        ValueError: a length or a filter is unknown, or there is none.
    """

    segment_lengths: tuple[int, ...] = SEGMENT_LENGTHS
    filters: tuple[str, ...] = FILTERS
    optimizes_integers: bool = True

    def __post_init__(self) -> None:
        for name, chosen, known in (
            ("segment_lengths", self.segment_lengths, SEGMENT_LENGTHS),
            ("filters", self.filters, FILTERS),
        ):
            if not chosen or not set(chosen) <= set(known):
                raise ValueError(f"`{name}` (={chosen}) must be some of {known}")


DEFAULT_OPTIONS = EncoderOptions()
"""All choices, as the codec uses them."""
