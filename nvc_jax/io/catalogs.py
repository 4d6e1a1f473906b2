"""Catalogues of public data sets: entries found by name."""

import difflib
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any

Catalog = Mapping[str, Mapping[str, Any]]
"""Data sets by name: ``url``, ``dtype`` and more of each, as the collection states it."""

_N_SUGGESTIONS = 3
"""Number of similar names that the error about an unknown name suggests."""


def read_catalog(file: str) -> Catalog:
    """Read a catalogue that comes with the package, from a JSON file beside this module."""
    text = importlib.resources.files("nvc_jax.io").joinpath(file).read_text()
    return {entry["id"]: entry for entry in json.loads(text)}


def find_entry(name: str, entries: Catalog, collection: str) -> Mapping[str, Any]:
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
