"""Statements of NetCDF and HDF5 files beside a variable: attributes of the file, and variables it refers to.

Attributes of a file, such as ``title`` and ``history``, are kept as the attribute ``global_attributes`` of
the volume. Variables other than coordinates along its axes are not kept.
"""

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from nvc_jax.io.metadata import attributes_as_json

GLOBAL_ATTRIBUTES = "global_attributes"
_REFERENCES = (
    *("coordinates", "bounds", "climatology", "grid_mapping", "cell_measures", "ancillary_variables"),
    "formula_terms",
)
"""Attributes by which the CF conventions name variables."""
_HIDDEN = ("_NCProperties", "_nc3_strict")
"""Attributes by which the library netCDF marks its files."""


def state_global_attributes(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the attribute of a volume that holds those of its file; nothing where there are none."""
    stated = attributes_as_json(attributes, without=_HIDDEN)
    return {GLOBAL_ATTRIBUTES: stated} if stated else {}


def split_global_attributes(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take the attributes of a volume apart: its own, and those of its file."""
    own = dict(attributes)
    if not isinstance(own.get(GLOBAL_ATTRIBUTES), dict):
        return own, {}
    return own, own.pop(GLOBAL_ATTRIBUTES)


def warn_of_references(
    name: str,
    attributes: Iterable[Mapping[str, Any]],
    exists: Callable[[str], bool],
    kept: Collection[Any],
) -> None:
    """Warn of variables of a file that a variable or its coordinates refer to, and that are not kept.

    Args:
        name: of the file and the variable.
        attributes: those of the variable, and of each of its coordinates.
        exists: tells whether the file holds a variable of a name; others may be in other files.
        kept: names of the coordinates that are kept.
    """
    texts = [stated.get(key) for stated in attributes for key in _REFERENCES]
    words = [word.strip(":") for text in texts if isinstance(text, str) for word in text.split()]
    lost = [word for word in dict.fromkeys(words) if word and word not in kept and exists(word)]
    if lost:
        listed = ", ".join(f"`{word}`" for word in lost)
        warnings.warn(f"`{name}` refers to {listed}, which are not kept: keep the file, too", stacklevel=2)
