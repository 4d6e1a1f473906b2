"""Catalogues of public data sets: entries found by name."""

import difflib
from collections.abc import Mapping
from typing import Any

_N_SUGGESTIONS = 3
"""Number of similar names that the error about an unknown name suggests."""


def find_entry(name: str, entries: Mapping[str, Mapping[str, Any]], collection: str) -> Mapping[str, Any]:
    """Find a data set.

    Args:
        name: of the data set.
        entries: of the catalogue, by name.
        collection: name of the collection, for the message.

    Raises:
        ValueError: there is none of that name; the message has similar names.
    """
    if name in entries:
        return entries[name]
    similar = difflib.get_close_matches(name, entries, n=_N_SUGGESTIONS)
    hint = f"did you mean {' or '.join(similar)}?" if similar else "`nvc fetch --list` lists them"
    raise ValueError(f"`name` (={name!r}) is no data set of {collection}: {hint}")
