"""Tables by which the encoder decides, prepared from an entropy model.

They depend on the model alone. A program that encodes one volume prepares those of the profile that it
chooses; who encodes many chunks prepares those of all profiles once.
"""

import functools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.core.batching import map_in_turn
from nvc_jax.core.compiler_options import quick_compilation
from nvc_jax.core.identity import ById
from nvc_jax.core.platforms import Forms, choose_form
from nvc_jax.native.rows import take_rows
from nvc_jax.spectral.class_choice import signalling_bits
from nvc_jax.spectral.class_decision import DecisionCosts, make_decision_costs
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.group_class_choice import Signalling
from nvc_jax.spectral.profiles import Profiles, count_profiles, take_profile
from nvc_jax.spectral.trellis_costs import Rates, make_rates


class DecisionTables(NamedTuple):
    """Tables of one profile, or of all, stacked.

    Attributes:
        costs: of integers and classes.
        signalling: bits of classes.
        rates: bits of integers, for the trellis.
    """

    costs: DecisionCosts
    signalling: Signalling
    rates: Rates


def make_tables(model: EntropyModel, options: EncoderOptions = DEFAULT_OPTIONS) -> DecisionTables:
    """Prepare the tables of an entropy model."""
    return DecisionTables(make_decision_costs(model, options), signalling_bits(model), make_rates(model))


def prepare_tables(profiles: Profiles, options: EncoderOptions = DEFAULT_OPTIONS) -> DecisionTables:
    """Prepare the tables of all profiles, stacked."""
    index = jnp.arange(count_profiles(profiles))
    return map_in_turn(lambda own: make_tables(take_profile(profiles, own), options), index)


def prepare_once(profiles: Profiles) -> DecisionTables:
    """Prepare the tables of all profiles, once for the same arrays, which nobody changes.

    Not for calls from compiled functions.
    """
    leaves, structure = jax.tree.flatten(profiles)
    return _tables_of(structure, *map(ById, leaves))


@functools.lru_cache(maxsize=4)
def _tables_of(structure: Any, *leaves: ById[Any]) -> DecisionTables:
    tables: DecisionTables = _table_maker()(jax.tree.unflatten(structure, [leaf.value for leaf in leaves]))
    return tables


@functools.cache
def _table_maker() -> Any:
    """Make ``prepare_tables`` for calls from outside of compiled functions."""
    return jax.jit(prepare_tables, compiler_options=quick_compilation())


def take_tables(
    profiles: Profiles,
    index: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
    prepared: DecisionTables | None = None,
) -> DecisionTables:
    """Take the tables of a profile, of those from ``prepare_tables`` if there are any."""
    if prepared is not None:
        return take_rows(prepared, index)
    own = make_tables(take_profile(profiles, index), options)
    return own._replace(costs=take_decision_costs(profiles, index, options))


def take_decision_costs(
    profiles: Profiles, index: jax.Array, options: EncoderOptions = DEFAULT_OPTIONS
) -> DecisionCosts:
    """Prepare the costs of a profile.

    Accelerators prepare them for all profiles, which is the same for all chunks of a batch, and take one.
    """
    n_profiles = count_profiles(profiles)

    def of_one(profiles: Profiles, index: jax.Array) -> DecisionCosts:
        return make_decision_costs(take_profile(profiles, index), options)

    def of_all(profiles: Profiles, index: jax.Array) -> DecisionCosts:
        prepared = jax.vmap(partial(of_one, profiles))(jnp.arange(n_profiles))
        return jax.tree.map(lambda leaf: leaf[index], prepared)

    if n_profiles == 1:
        return of_one(profiles, index)
    result = jax.eval_shape(of_one, profiles, index)
    return choose_form(Forms(of_one, of_all, of_all), result, profiles, index)
