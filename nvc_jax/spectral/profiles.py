"""Profiles: class models for different rates, of which the encoder chooses one for all blocks of a volume.

A class costs bits to name in every block, so that there cannot be many; and of classes for all rates, most
are of no use at any one. A profile is named once for a volume, and its classes are for rates like that one's.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.systematic_sampling import draw_systematic
from nvc_jax.spectral.class_decision import decide, make_costs
from nvc_jax.spectral.entropy_model import BITS_PER_ERROR, EntropyModel
from nvc_jax.transform.block_layout import BlockLayout

MAX_PROFILES = 256
"""A stream names its profile in a byte."""
_SAMPLED_BLOCKS = 128
_LOUD = 2.0
"""Steps: latents that are larger count as little more in how much a block is likely to take."""
_SHARED = "order"

Profiles = Mapping[str, jax.Array]
"""The fields of profiles' class models, stacked, but for ``order``, which they share; those of a single
profile as they are."""


def stack_profiles(models: Sequence[EntropyModel]) -> dict[str, jax.Array]:
    """Profiles from their class models, whose ``order`` is one."""
    if len(models) == 1:
        return models[0]._asdict()
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)._asdict()
    return {**stacked, _SHARED: models[0].order}


def count_profiles(profiles: Profiles) -> int:
    """How many there are."""
    tables = profiles["tables"]
    return 1 if tables.ndim == 2 else tables.shape[0]


def take_profile(profiles: Profiles, index: jax.Array | int) -> EntropyModel:
    """The class model of a profile; while tracing, too."""
    if count_profiles(profiles) == 1:
        return EntropyModel(**profiles)
    own = {k: leaf if k == _SHARED else jnp.asarray(leaf)[index] for k, leaf in profiles.items()}
    return EntropyModel(**own)


def number_classes(model: EntropyModel, profile: jax.Array, classes: jax.Array) -> jax.Array:
    """Classes of a profile among those of all profiles, int32: as the refinement knows them."""
    return classes + profile * len(model.tables)


def choose_profile(profiles: Profiles, layout: BlockLayout, values: jax.Array) -> jax.Array:
    """The profile that takes the least, in bits and error, for a sample of blocks; int32.

    Args:
        profiles: of the model.
        layout: of the n blocks.
        values: float32 (n, 512), latents in steps of one quantiser.
    """
    n_profiles = count_profiles(profiles)
    if n_profiles == 1:
        return jnp.int32(0)
    # Of a volume that is mostly empty, few blocks take nearly all bits.
    loudness = jnp.sum(jnp.minimum(jnp.abs(values[:, 1:]), _LOUD), axis=1)
    drawn, weights = draw_systematic(loudness, layout.inside, min(_SAMPLED_BLOCKS, len(values)))
    sample = values[drawn]

    def cost(index: jax.Array) -> jax.Array:
        integers, _, bits = decide(make_costs(take_profile(profiles, index)), sample)
        errors = jnp.sum((sample - integers.astype(jnp.float32))[:, 1:] ** 2, axis=1)
        return jnp.sum(weights * (bits + BITS_PER_ERROR * errors))

    return jnp.argmin(lax.map(cost, jnp.arange(n_profiles))).astype(jnp.int32)
