"""The entropy model: every block names a class, a class names a frequency table for every latent.

A block's class says how large its latents are likely to be, so that quiet blocks cost next to nothing. The
encoder picks the class that costs the fewest bits, and decides each latent's integer by rate and distortion;
the decoder follows, with integers only.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.entropy import tokens
from nvc_jax.spectral.dependent_quantization import from_half_steps

BITS_PER_ERROR = 6.0
"""Bits that one squared step of error is worth: the slope of rate against distortion at high rates."""
_COARSER = 1.35
"""How many steps of one quantiser are a step of two that leave about as much error."""


class EntropyModel(NamedTuple):
    """Parameters of the entropy model for blocks of 512 latents, Q quantisers, K classes and R tables.

    Attributes:
        frequencies: uint16 (Q·R + K, 64), the tables: R that latents share, by quantiser, and one for each
            class's means.
        bits: float32 (R, 3): what a zero costs by each table, a one of either sign, each further step, if
            latents are rounded to whole steps.
        shrink: float32 (Q·R, 2): how far the mean of what a one, and a larger magnitude, stands for lies
            towards zero, in steps.
        order: int32 (511,), latents but the mean in the order in which they are coded.
        tables: int32 (K, 512), each class's table for each latent; the mean's, latent 0, is Q·R + class.
        end_frequencies: uint16 (K, 64), each class's table of where its blocks' last integers lie.
        mode_frequencies: uint16 (K, 64), of the modes of superblocks, by the class of their first block.
        class_frequencies: uint16 (K + 1, 64), of classes, by the class before; K is none.
        class_bits: float32 (K,), what naming a class costs on average.
    """

    frequencies: jax.Array
    bits: jax.Array
    shrink: jax.Array
    order: jax.Array
    tables: jax.Array
    end_frequencies: jax.Array
    mode_frequencies: jax.Array
    class_frequencies: jax.Array
    class_bits: jax.Array

    @property
    def n_shared(self) -> int:
        """Q·R, the tables that latents share."""
        return self.shrink.shape[0]

    @property
    def n_quantizers(self) -> int:
        """Q, 1 or 2: see ``quantizers``."""
        return self.n_shared // self.bits.shape[0]

    def row(self, table: jax.Array, quantizer: jax.Array | int) -> jax.Array:
        """Where a latent's table lies among all, for an integer of a quantiser."""
        return table + quantizer * self.bits.shape[0]


def plain_steps(model: EntropyModel) -> float:
    """How many steps of a single quantiser, of about the same error, a step of the model's is."""
    return 1.0 if model.n_quantizers == 1 else _COARSER


def bits_per_error(model: EntropyModel) -> float:
    """Bits that one squared step of the model's is worth."""
    return BITS_PER_ERROR * plain_steps(model) ** 2


def abstract_entropy_model(n_latents: int, n_classes: int, n_tables: int, n_quantizers: int) -> EntropyModel:
    """Shapes and dtypes of a class model."""
    n_shared = n_quantizers * n_tables

    def leaf(dtype: Any, *shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype)

    return EntropyModel(
        frequencies=leaf(jnp.uint16, n_shared + n_classes, tokens.N_TOKENS),
        bits=leaf(jnp.float32, n_tables, 3),
        shrink=leaf(jnp.float32, n_shared, 2),
        order=leaf(jnp.int32, n_latents - 1),
        tables=leaf(jnp.int32, n_classes, n_latents),
        end_frequencies=leaf(jnp.uint16, n_classes, tokens.N_TOKENS),
        mode_frequencies=leaf(jnp.uint16, n_classes, tokens.N_TOKENS),
        class_frequencies=leaf(jnp.uint16, n_classes + 1, tokens.N_TOKENS),
        class_bits=leaf(jnp.float32, n_classes),
    )


def restore(model: EntropyModel, points: jax.Array, classes: jax.Array) -> jax.Array:
    """What points (n, 512), int32 in half steps, stand for, float32 in steps: a little towards zero."""
    n_tables = model.bits.shape[0]
    tables = jnp.minimum(model.tables, n_tables - 1)
    not_mean = (jnp.arange(tables.shape[1]) > 0)[None]
    is_one = jnp.abs(from_half_steps(points)) == 1
    shrink: jax.Array | int = 0
    for quantizer in range(model.n_quantizers):
        one, more = (
            jnp.where(not_mean, model.shrink[model.row(tables, quantizer), kind], 0)[classes]
            for kind in range(2)
        )
        own = jnp.where(is_one, one, more)
        shrink = own if quantizer == 0 else jnp.where(points & 1 == 1, own, shrink)
    shrink = jnp.where(points == 0, 0, shrink)
    return points.astype(jnp.float32) / 2 - jnp.sign(points).astype(jnp.float32) * shrink
