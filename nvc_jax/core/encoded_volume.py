"""The base of encoded volumes, whatever model encoded them."""

import abc
import dataclasses
import math

import jax
import numpy as np

from nvc_jax.core.shapes import Shape3


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedVolume(abc.ABC):
    """A volume as ``encode_volume`` returns it: a pytree of device arrays with a static shape and dtype.

    Attributes:
        minimum, maximum: the volume's finite range, float32 scalars.
        shape: (z, y, x) of the volume; static.
        dtype: name of the volume's dtype; static.
    """

    minimum: jax.Array
    maximum: jax.Array
    shape: Shape3
    dtype: str

    @property
    def volume_bytes(self) -> int:
        """Bytes of the volume that was encoded."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    @abc.abstractmethod
    def used_bytes(self) -> jax.Array | int:
        """Bytes of the encoded data that are in use, int32; buffers of static size may be larger."""
