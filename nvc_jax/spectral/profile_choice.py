"""Choice of the profile that suits the rate of a volume."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.batching import map_in_turn
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral.block_sample import draw_blocks, take_blocks
from nvc_jax.spectral.class_decision import choose_independently, class_rule, make_decision_costs
from nvc_jax.spectral.decision_tables import DecisionTables, prepare_tables
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import BITS_PER_SQUARED_STEP, steps_of_single_quantizer
from nvc_jax.spectral.profiles import Profiles, any_profile, count_profiles, take_profile
from nvc_jax.spectral.rounding_errors import rounding_errors
from nvc_jax.transform.block_layout import BlockLayout


def choose_profile(
    profiles: Profiles,
    layout: BlockLayout,
    values: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
    energies: jax.Array | None = None,
    tables: DecisionTables | None = None,
) -> jax.Array:
    """Choose the profile that costs least, in bits and error, for a sample of blocks.

    Args:
        profiles: of the model.
        layout: of the n blocks.
        values: float32 (n, 512), coefficients in steps.
        options: of the encoder.
        energies: float32 (n,), of the blocks, by ``block_sample.energy_rule``, if they are known.
        tables: of all profiles, if they have been prepared.

    Returns:
        int32 index.
    """
    if count_profiles(profiles) == 1:
        return jnp.int32(0)
    single_steps = steps_of_single_quantizer(any_profile(profiles))
    drawn, weights = draw_blocks(values, layout.inside, single_steps, energies)

    def kernel(
        profiles: Profiles, values: jax.Array, drawn: jax.Array, weights: jax.Array, tables: Any
    ) -> Any:
        prepared = prepare_tables(profiles, options) if tables is None else tables
        return _choose_by_kernel(prepared, values, drawn, weights, options, single_steps)

    def reference(profiles: Profiles, values: jax.Array, drawn: jax.Array, weights: jax.Array, _: Any) -> Any:
        sample = take_blocks(values, drawn) * single_steps
        return choose_reference(profiles, sample, weights, options)

    profile: jax.Array = on_cpu(kernel, reference, profiles, values, drawn, weights, tables)
    return profile


def choose_reference(
    profiles: Profiles, sample: jax.Array, weights: jax.Array, options: EncoderOptions = DEFAULT_OPTIONS
) -> jax.Array:
    """Choose the profile in ``jax.numpy``: the specification of the kernel.

    Args:
        profiles: of the model, several.
        sample: float32 (m, 512), coefficients of blocks in steps of one quantiser.
        weights: float32 (m,), of the blocks.
        options: of the encoder.
    """

    def cost(index: jax.Array) -> jax.Array:
        costs = make_decision_costs(take_profile(profiles, index), options)
        classes, bits = choose_independently(costs, sample, options)
        errors = rounding_errors(costs, sample, classes)
        return jnp.sum(weights * (bits + BITS_PER_SQUARED_STEP * errors))

    return jnp.argmin(map_in_turn(cost, jnp.arange(count_profiles(profiles)))).astype(jnp.int32)


def _choose_by_kernel(
    tables: DecisionTables,
    values: jax.Array,
    drawn: jax.Array,
    weights: jax.Array,
    options: EncoderOptions,
    single_steps: float,
) -> jax.Array:
    """Choose the profile by the native kernel; of nearly equal costs it may find another one the lowest."""
    costs, rule = tables.costs, class_rule(options, single_steps)
    numbers = dict(zip(("narrow", "wide", "further"), map(np.int32, rule.thresholds), strict=True))
    return call(
        "nvc_choose_profile",
        jax.ShapeDtypeStruct((), jnp.int32),
        *(values, drawn, weights, costs.tables, costs.pairs, costs.zero_cost, costs.signalling_cost),
        *(costs.signalling_bits, costs.first_thresholds, costs.further_thresholds),
        **numbers,
        single_steps=np.float32(single_steps),
        bits_per_error=np.float32(BITS_PER_SQUARED_STEP),
        largest=np.float32(MAX_MAGNITUDE),
    )
