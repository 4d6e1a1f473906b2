"""Headers of NetCDF 3 of version 5 (CDF-5, "64 bit data"), which SciPy does not read.

The library netCDF reads them, but gives zeros in place of what a truncated file lacks. The format is that of
the NetCDF Classic Format Specification, with sizes of 64 bits and types for more integers.
"""

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from nvc_jax.io.netcdf_variable import NetcdfHeader, NetcdfVariable, plain_attributes

VERSION_5 = 5
_MAGIC = b"CDF\5"
_ALIGNMENT = 4
"""Bytes of which names, attributes and variables take a multiple."""
_TAGS = {"dimensions": 10, "variables": 11, "attributes": 12}
_DTYPES = dict(enumerate(("i1", "S1", ">i2", ">i4", ">f4", ">f8", "u1", ">u2", ">u4", ">i8", ">u8"), 1))
"""Dtypes by their numbers in files."""
_CHARACTERS = 2
_STREAMING = 2**64 - 1
"""Number of records of a file that was not closed."""

_Item = TypeVar("_Item")


@dataclasses.dataclass(frozen=True)
class _Declaration:
    """A variable as the header declares it: ids of dimensions, attributes, dtype and first byte."""

    name: str
    dimensions: list[int]
    attributes: dict[str, Any]
    dtype: np.dtype
    begin: int


def read_netcdf5(path: Path) -> NetcdfHeader:
    """Describe the variables and the attributes of a file.

    Raises:
        ValueError: the header is damaged, or cut short.
    """
    with path.open("rb") as stream:
        header = _Header(stream, path.stat().st_size)
        n_records = header.read_number()
        dimensions = header.read_list("dimensions", lambda: (header.read_name(), header.read_number()))
        attributes = dict(header.read_list("attributes", header.read_attribute))
        declared = header.read_list("variables", header.read_variable)
    if n_records == _STREAMING:
        raise ValueError("its number of records is not stated: it was not closed")
    return NetcdfHeader(_place(path, dimensions, declared, n_records), plain_attributes(attributes))


def _place(
    path: Path, dimensions: list[tuple[str, int]], declared: list[_Declaration], n_records: int
) -> dict[str, NetcdfVariable]:
    """Find the bytes of variables; those with records, whose first dimension has no length, alternate."""
    for variable in declared:
        if any(index >= len(dimensions) for index in variable.dimensions):
            raise ValueError(f"`{variable.name}` has a dimension that is not there")

    def has_records(variable: _Declaration) -> bool:
        return bool(variable.dimensions) and dimensions[variable.dimensions[0]][1] == 0

    def shape_of(variable: _Declaration) -> list[int]:
        sides = [dimensions[index][1] for index in variable.dimensions]
        return [n_records, *sides[1:]] if has_records(variable) else sides

    def strides_of(variable: _Declaration) -> list[int]:
        strides, stride = [], variable.dtype.itemsize
        for side in reversed(shape_of(variable)):
            strides.append(stride)
            stride *= side
        return strides[::-1]

    with_records = [variable for variable in declared if has_records(variable)]
    sizes = [strides_of(variable)[0] for variable in with_records]
    # A single variable with records is not aligned.
    record_bytes = sizes[0] if len(sizes) == 1 else sum(map(_align, sizes))
    return {
        variable.name: NetcdfVariable(
            path,
            tuple(shape_of(variable)),
            variable.dtype,
            tuple(
                [record_bytes, *strides_of(variable)[1:]] if has_records(variable) else strides_of(variable)
            ),
            variable.begin,
            tuple(dimensions[index][0] for index in variable.dimensions),
            variable.attributes,
        )
        for variable in declared
    }


class _Header:
    """Reader of a header, which checks every size against the bytes that are there.

    Args:
        stream: the file, at its beginning.
        n_bytes: size of the file.

    Raises:
        ValueError: the file does not begin as it must.
    """

    def __init__(self, stream: IO[bytes], n_bytes: int) -> None:
        self._stream, self._n_bytes = stream, n_bytes
        if self._read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as NetCDF 3 of version 5 does")

    def read_number(self) -> int:
        """Read a number of 64 bits that is not negative."""
        (number,) = struct.unpack(">Q", self._read(8))
        return int(number)

    def read_name(self) -> str:
        """Read a name."""
        return self._read_aligned(self.read_number()).decode()

    def read_list(self, kind: str, read: Callable[[], _Item]) -> list[_Item]:
        """Read a list of dimensions, attributes or variables, which may be absent."""
        tag, count = self._read_tag(), self.read_number()
        if tag != (_TAGS[kind] if count else 0) and tag != _TAGS[kind]:
            raise ValueError(f"its list of {kind} has the tag {tag}")
        self._check(count)
        return [read() for _ in range(count)]

    def read_attribute(self) -> tuple[str, Any]:
        """Read an attribute: its name, and text or an array."""
        name, kind, count = self.read_name(), self._read_tag(), self.read_number()
        dtype = _dtype_of(kind)
        self._check(count)
        stored = self._read_aligned(count * dtype.itemsize)
        values = np.frombuffer(stored, dtype)
        return name, stored if kind == _CHARACTERS else values.astype(dtype.newbyteorder("="))

    def read_variable(self) -> _Declaration:
        """Read the declaration of a variable."""
        name, rank = self.read_name(), self.read_number()
        self._check(rank)
        dimensions = [self.read_number() for _ in range(rank)]
        attributes = dict(self.read_list("attributes", self.read_attribute))
        dtype = _dtype_of(self._read_tag())
        self.read_number()  # its size, which follows from the rest
        return _Declaration(name, dimensions, plain_attributes(attributes), dtype, self.read_number())

    def _read_tag(self) -> int:
        (tag,) = struct.unpack(">I", self._read(4))
        return int(tag)

    def _read(self, count: int) -> bytes:
        self._check(count)
        stored = self._stream.read(count)
        if len(stored) < count:
            raise ValueError("its header is cut short")
        return stored

    def _read_aligned(self, count: int) -> bytes:
        return self._read(_align(count))[:count]

    def _check(self, count: int) -> None:
        """Raise ``ValueError`` if something has more entries than the file has bytes."""
        if count > self._n_bytes:
            raise ValueError(
                f"its header states {count} entries or bytes; it has {self._n_bytes} bytes in all"
            )


def _dtype_of(number: int) -> np.dtype:
    if number not in _DTYPES:
        raise ValueError(f"its header states a type {number}, which there is not")
    return np.dtype(_DTYPES[number])


def _align(count: int) -> int:
    return -(-count // _ALIGNMENT) * _ALIGNMENT
