"""Variables and attributes of a file of NetCDF 3, whatever version of the format the file is of."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.io.lazy import Index
from nvc_jax.io.metadata import attributes_as_json


@dataclasses.dataclass(frozen=True)
class NetcdfVariable:
    """A variable of a NetCDF 3 file, whose records lie between those of others.

    Attributes:
        path: path of the file.
        shape, dtype, strides: of its array.
        offset: byte of the file at which it begins.
        dimensions: names of its axes.
        attributes: its attributes, as JSON can hold them.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]
    offset: int
    dimensions: tuple[str, ...]
    attributes: dict[str, Any]

    def read(self, index: Index | Any) -> np.ndarray:
        """Return the values at ``index``: a view of a memory map that is dropped together with it."""
        mapped = np.memmap(self.path, np.uint8, "r")
        return np.ndarray(self.shape, self.dtype, mapped, self.offset, self.strides)[index]

    def check_size(self) -> None:
        """Raise ``ValueError`` if the file is too short to hold the values."""
        self.read(...)


@dataclasses.dataclass(frozen=True)
class NetcdfHeader:
    """Header of a NetCDF 3 file.

    Attributes:
        variables: by their names.
        attributes: global attributes, as JSON can hold them.
    """

    variables: dict[str, NetcdfVariable]
    attributes: dict[str, Any]


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Convert attributes to JSON; NetCDF stores a single number as an array of one."""
    converted = attributes_as_json(attributes)
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in converted.items()
    }
