"""Choices before a volume is compressed: what targets will cost, and whether another codec does better.

Read ``subject`` first: a volume, its range, and the few chunks of it that are tried. ``trial`` encodes and
decodes them at one target, as ``compress`` would. ``estimate`` extends that to the whole volume;
``peer_trial`` does the same as ``trial`` by codecs of other libraries, ``compare`` puts them side by side,
``verdict`` says in words which is best, and ``rate_plot`` draws it.

The package encodes through ``compression`` and ``models`` and through ``peers``; it writes no containers.
"""

from nvc_jax.comparison.compare import ComparedCodec, compare
from nvc_jax.comparison.estimate import Estimate, estimate

__all__ = ["ComparedCodec", "Estimate", "compare", "estimate"]
