"""Integers that stand for those of the other sign, as the attribute ``_Unsigned`` of NetCDF says.

NetCDF's classic model has no unsigned integers: 200 is stored as -56, and ``_Unsigned = "true"`` says so. A
volume has the integers that are meant: an error bound on the stored ones would take 255 (-1) for 0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorstore as ts

UNSIGNED = "_Unsigned"
_OF_VALUES = (
    *("_FillValue", "missing_value", "valid_min", "valid_max", "valid_range"),
    *("flag_values", "flag_masks", "actual_range"),
)
"""Attributes that state values of the variable."""
_STANDS_FOR = {("i", "true"): "u", ("u", "false"): "i"}
"""Kind of the integers that are meant, for the kind that is stored and the attribute."""


def meant_dtype(stored: np.dtype, attributes: Mapping[str, Any]) -> np.dtype:
    """Return the dtype of the integers that stored ones stand for; ``stored`` where they are meant."""
    kind = _STANDS_FOR.get((stored.kind, _unsigned(attributes)))
    return stored if kind is None else np.dtype(f"{stored.byteorder}{kind}{stored.itemsize}")


def as_meant(store: ts.TensorStore, attributes: Mapping[str, Any]) -> ts.TensorStore:
    """View a store of integers as those that its attributes say are meant; the bits are the same."""
    stored = store.dtype.numpy_dtype
    meant = meant_dtype(stored, attributes)
    return store if meant == stored else ts.cast(store, ts.dtype(meant))


def attributes_as_meant(attributes: Mapping[str, Any], dtype: np.dtype) -> dict[str, Any]:
    """State attributes in the integers that are meant, and leave out what says which these are.

    Args:
        attributes: of the source, as JSON can hold them.
        dtype: of the volume. Attributes stay as they are unless it is that of the integers that are meant.
    """
    kept = dict(attributes)
    if (dtype.kind, _unsigned(attributes)) not in (("u", "true"), ("i", "false")):
        return kept
    del kept[UNSIGNED]
    limits = np.iinfo(dtype)
    low, modulus = int(limits.min), 1 << (8 * dtype.itemsize)
    for name in _OF_VALUES:
        if name in kept:
            kept[name] = _wrapped(kept[name], low, modulus)
    return kept


def stands_for_unsigned(attributes: Mapping[str, Any]) -> bool:
    """Tell whether attributes say that signed integers stand for unsigned ones."""
    return _unsigned(attributes) == "true"


def _wrapped(value: Any, low: int, modulus: int) -> Any:
    """Bring integers of the other sign into the range of a dtype; others stay as they are."""
    if isinstance(value, list | tuple):
        return [_wrapped(part, low, modulus) for part in value]
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return value
    is_of_either = -modulus // 2 <= value < modulus
    return (int(value) - low) % modulus + low if is_of_either else value


def _unsigned(attributes: Mapping[str, Any]) -> str:
    value = attributes.get(UNSIGNED)
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return text.strip("\0 ").lower()
