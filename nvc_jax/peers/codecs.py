"""Codecs of other libraries behind one interface: encode, decode, version.

A lossy codec takes float32 or float64 of one to three axes. Its encoded bytes do not always state the shape
and the dtype, so that decoding takes both. All functions may be called by several threads at a time.
"""

import abc
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nvc_jax.core.optional_imports import import_extra

EXTRA = "compare"
"""Extra of this package that installs the codecs."""
_SPERR_PSNRS = (10.0, 80.0)
"""PSNRs in dB among which SPERR's setting is searched."""
_SMALLEST_ERROR = 1e-7
"""Smallest absolute error among which a setting is searched, as a share of the range."""
_LEAST_SPERR_AXES = 2
"""Axes longer than 1 that SPERR needs: others end the process."""


def _imagecodecs() -> Any:
    return import_extra("imagecodecs", EXTRA)


class Peer(abc.ABC):
    """A codec.

    Attributes:
        name: as its authors write it.
        key: by which users name it.
    """

    name: str
    key: str

    @property
    def version(self) -> str:
        """Version of the library that encodes, such as ``0.8.4``.

        Raises:
            ModuleNotFoundError: the library is not installed; the message has the command that installs it.
        """
        stated: str = getattr(_imagecodecs(), f"{self.key}_version")()
        return stated.split()[-1]


class LossyPeer(Peer):
    """A codec that keeps an error bound."""

    @abc.abstractmethod
    def encode(self, values: np.ndarray, max_error: float) -> bytes:
        """Encode values so that the error of none exceeds a bound, which is absolute and above 0."""

    @abc.abstractmethod
    def decode(self, data: bytes, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """Decode values of a shape and a dtype, encoded in either way."""

    def encode_freely(self, values: np.ndarray, setting: float) -> bytes:
        """Encode values in the codec's best mode without a bound; by default its mode with a bound.

        Args:
            values: float32 or float64.
            setting: in the unit that ``setting_at`` gives.
        """
        return self.encode(values, setting)

    def coarseness_limits(self, width: float) -> tuple[float, float]:
        """Least and largest coarseness for values whose range has a width: more is fewer bytes."""
        return math.log(_SMALLEST_ERROR * width), math.log(width)

    def setting_at(self, coarseness: float) -> float:
        """Setting for ``encode_freely``; by default an absolute error, whose logarithm is the coarseness."""
        return math.exp(coarseness)


class LosslessPeer(Peer):
    """A codec of bytes."""

    @abc.abstractmethod
    def encode(self, values: Any) -> bytes:
        """Encode an array, or bytes."""

    @abc.abstractmethod
    def decode(self, data: bytes) -> bytes:
        """Decode the bytes that were encoded."""


class Sperr(LossyPeer):
    """SPERR: wavelets and set partitioning; its setting without a bound is a PSNR in dB."""

    name, key = "SPERR", "sperr"

    def encode(self, values: np.ndarray, max_error: float) -> bytes:
        encoded: bytes = _imagecodecs().sperr_encode(_without_unit_axes(values), max_error, mode="pwe")
        return encoded

    def encode_freely(self, values: np.ndarray, setting: float) -> bytes:
        encoded: bytes = _imagecodecs().sperr_encode(_without_unit_axes(values), setting, mode="psnr")
        return encoded

    def decode(self, data: bytes, shape: Sequence[int], dtype: Any) -> np.ndarray:
        longer = tuple(side for side in shape if side > 1)
        decoded: np.ndarray = _imagecodecs().sperr_decode(data, shape=longer, dtype=dtype)
        return decoded.reshape(shape)

    def coarseness_limits(self, width: float) -> tuple[float, float]:
        low, high = _SPERR_PSNRS
        return -high, -low

    def setting_at(self, coarseness: float) -> float:
        return -coarseness


class Sz3(LossyPeer):
    """SZ3: prediction by interpolation, with a bound in all its modes."""

    name, key = "SZ3", "sz3"

    def encode(self, values: np.ndarray, max_error: float) -> bytes:
        encoded: bytes = _imagecodecs().sz3_encode(values, mode="abs", abs=max_error)
        return encoded

    def decode(self, data: bytes, shape: Sequence[int], dtype: Any) -> np.ndarray:
        decoded: np.ndarray = _imagecodecs().sz3_decode(data, shape=shape, dtype=dtype)
        return decoded


class Zfp(LossyPeer):
    """zfp: transform of blocks of 4³ values; of an absolute error it takes the next lower power of two."""

    name, key = "zfp", "zfp"

    def encode(self, values: np.ndarray, max_error: float) -> bytes:
        encoded: bytes = _imagecodecs().zfp_encode(values, level=max_error, mode="accuracy")
        return encoded

    def decode(self, data: bytes, shape: Sequence[int], dtype: Any) -> np.ndarray:
        decoded: np.ndarray = _imagecodecs().zfp_decode(data)
        return decoded.reshape(shape)


class Zstandard(LosslessPeer):
    """Zstandard on the bytes of an array.

    Args:
        level: more is smaller and slower.
    """

    name, key = "Zstandard", "zstd"

    def __init__(self, level: int = 9) -> None:
        self.level = level

    def encode(self, values: Any) -> bytes:
        encoded: bytes = _imagecodecs().zstd_encode(_as_bytes(values), level=self.level)
        return encoded

    def decode(self, data: bytes) -> bytes:
        decoded: bytes = _imagecodecs().zstd_decode(data)
        return decoded


class Blosc2(LosslessPeer):
    """Blosc2: Zstandard after the bytes or bits of equal significance are put together.

    Args:
        level: more is smaller and slower.
        shuffle: ``"shuffle"`` for bytes, ``"bitshuffle"`` for bits.
        itemsize: bytes of a value where bytes are encoded; that of an array is known.
    """

    name, key = "Blosc2", "blosc2"

    def __init__(self, level: int = 9, shuffle: str = "bitshuffle", itemsize: int | None = None) -> None:
        self.level, self.shuffle, self.itemsize = level, shuffle, itemsize

    def encode(self, values: Any) -> bytes:
        encoded: bytes = _imagecodecs().blosc2_encode(
            values, level=self.level, compressor="zstd", shuffle=self.shuffle, typesize=self.itemsize
        )
        return encoded

    def decode(self, data: bytes) -> bytes:
        decoded: bytes = _imagecodecs().blosc2_decode(data)
        return decoded


LOSSY_PEERS: dict[str, LossyPeer] = {peer.key: peer for peer in (Sperr(), Sz3(), Zfp())}
"""Lossy codecs by their keys."""
LOSSLESS_PEERS: dict[str, LosslessPeer] = {peer.key: peer for peer in (Zstandard(), Blosc2())}
"""Lossless codecs by their keys."""


def find_peers(names: Sequence[str], argument: str) -> list[LossyPeer]:
    """Find lossy codecs by their names, in any case.

    Args:
        names: such as ``["sperr", "zfp"]``.
        argument: name of the argument that they were given by, for the message.

    Raises:
        ModuleNotFoundError: the libraries are not installed.
        ValueError: a codec is unknown, or named twice.
    """
    keys = [name.strip().lower() for name in names]
    for name, key in zip(names, keys, strict=True):
        if key not in LOSSY_PEERS or keys.count(key) > 1:
            fault = "is named twice" if key in LOSSY_PEERS else "is no codec known here"
            raise ValueError(
                f"`{argument}` (={','.join(names)}): {name!r} {fault}; name some of {', '.join(LOSSY_PEERS)}"
            )
    if keys:
        _imagecodecs()
    return [LOSSY_PEERS[key] for key in keys]


def _as_bytes(values: Any) -> Any:
    return values.tobytes() if isinstance(values, np.ndarray) else values


def _without_unit_axes(values: np.ndarray) -> np.ndarray:
    """Drop axes of length 1.

    Raises:
        ValueError: fewer than two axes are left.
    """
    squeezed = np.squeeze(values)
    if squeezed.ndim < _LEAST_SPERR_AXES:
        raise ValueError(f"SPERR takes two or three axes longer than 1, not values of shape {values.shape}")
    return squeezed
