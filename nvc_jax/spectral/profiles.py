"""Profiles: entropy models for different rates. The encoder chooses one for all blocks of a volume.

Every block signals its class, so there cannot be many classes. Classes for all rates together would mostly be
of no use at any one rate. Therefore a model has several profiles, each with classes for a range of rates, and
a stream states its profile once.
"""

import operator
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from nvc_jax.native.rows import take_rows
from nvc_jax.spectral.entropy_model import EntropyModel

MAX_PROFILES = 256
"""Largest number of profiles: a stream states its profile in one byte."""

_STORED_NAMES = {"reconstruction_offsets": "shrink"}
"""Names in checkpoints of the fields of ``EntropyModel`` that have another name there."""
_SHARED = "order"
"""The field that all profiles have in common."""

Profiles = Mapping[str, jax.Array]
"""Entropy models of all profiles as checkpoints store them: fields by their stored names, stacked except for
``order``, without ``context_rows`` where there are none. The fields of a single profile are not stacked."""


def stack_profiles(models: Sequence[EntropyModel]) -> dict[str, jax.Array]:
    """Combine the entropy models of profiles, which have the same ``order``, into what checkpoints store."""
    if len(models) == 1:
        fields = models[0]._asdict()
    else:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)._asdict()
        fields = {**stacked, _SHARED: models[0].order}
    return {_STORED_NAMES.get(name, name): leaf for name, leaf in fields.items() if leaf is not None}


def count_profiles(profiles: Profiles) -> int:
    """Count the profiles of a model."""
    tables = profiles["tables"]
    return 1 if tables.ndim == 2 else tables.shape[0]


def take_profile(profiles: Profiles, index: jax.Array | int) -> EntropyModel:
    """Get the entropy model of a profile; ``index`` may be traced."""
    stored = {name: _STORED_NAMES.get(name, name) for name in EntropyModel._fields}
    fields = {name: profiles[own] for name, own in stored.items() if own in profiles}
    if count_profiles(profiles) == 1:
        return EntropyModel(**fields)
    stacked = {name: jnp.asarray(leaf) for name, leaf in fields.items() if name != _SHARED}
    taken = (
        jax.tree.map(operator.itemgetter(index), stacked)
        if isinstance(index, int)
        else take_rows(stacked, index)
    )
    return EntropyModel(**taken, **{_SHARED: fields[_SHARED]})


def any_profile(profiles: Profiles) -> EntropyModel:
    """Get one of the profiles, for properties that all have in common: the order and number of quantisers."""
    return take_profile(profiles, 0)


def shared_frequencies(profiles: Profiles) -> jax.Array:
    """Get the frequency tables that coefficients share, of all profiles: uint16 (profiles, Q·R, 64)."""
    frequencies = jnp.asarray(profiles["frequencies"])
    return frequencies.reshape(-1, *frequencies.shape[-2:])[:, : any_profile(profiles).n_shared]
