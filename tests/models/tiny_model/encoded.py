"""The encoded volume of a block-mean model."""

import dataclasses
import functools

import jax

from nvc_jax.core.encoded_volume import EncodedVolume


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["points", "step", "minimum", "maximum"],
    meta_fields=["shape", "dtype"],
)
@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedMeans(EncodedVolume):
    """A volume as the quantised means of its blocks.

    Attributes:
        points: int32 (z, y, x) blocks, in steps above the minimum.
        step: float32, of the quantiser, relative to the range.
    """

    points: jax.Array
    step: jax.Array

    @property
    def used_bytes(self) -> int:
        """Bytes of the quantised means."""
        return 4 * self.points.size
