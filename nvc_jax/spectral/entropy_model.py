"""The entropy model: probabilities of integers by block class, and reconstruction from integers.

Every block has a *class*. A class selects one frequency table for each of the block's coefficients, so it
tells how large they are likely to be: a block of low energy costs next to nothing. The encoder finds the
class that costs the fewest bits and decides every integer by rate and distortion (see ``class_decision``).
The decoder reads the class and needs integer arithmetic only.
"""

from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy import tokens
from nvc_jax.spectral.dependent_quantization import to_integers

_Array = TypeVar("_Array", np.ndarray, jax.Array)

BITS_PER_SQUARED_STEP = 6.0
"""Bits that a squared error of one step of a single quantiser is worth: decisions minimise bits + 6 · error.

At high rates the error is step² / 12, and the slope of rate against error is 6 / ln 2 = 8.66 bits per squared
step (6 nats). At the lower rates that matter here the slope is smaller; 6 was chosen by measurement. For two
quantisers the factor is 10.9, and 10 to 13 were measured to be alike (see ``bits_per_squared_step``)."""

_STEP_RATIO_OF_TWO_QUANTIZERS = 1.35
"""Step of two quantisers relative to that of a single one at about equal PSNR. No measurement of the
value is on record."""


class EntropyModel(NamedTuple):
    """Parameters of the entropy model for blocks of 512 coefficients, Q quantisers, K classes and R tables.

    Checkpoints store the fields by these names, except ``reconstruction_offsets``: see ``profiles``.

    Attributes:
        frequencies: uint16 (Q·R + K, 64), frequency tables of tokens. The first Q·R are shared by all
            coefficients except first ones, R for each quantiser. The last K are those of first coefficients,
            one for each class.
        bits: float32 (R, 3), bits of a zero, of a one of either sign, and of each further step by each table,
            if coefficients are rounded to whole steps.
        reconstruction_offsets: float32 (Q·R, 2), distance in steps from a reconstruction point towards zero
            to the mean of the coefficients coded as it: for magnitude 1, and for larger magnitudes.
        order: int32 (511,), coefficients except the first in the order in which they are coded.
        tables: int32 (K, 512), each class's table of each coefficient; that of the first one is Q·R + class.
        end_frequencies: uint16 (K, 64), each class's table of the ends of its blocks.
        class_frequencies: uint16 (K + 1, 64), tables of classes, by the class before; K stands for none. With
            contexts of headers (2·K, 64): K − 1 further ones follow.
        class_bits: float32 (K,), average signalling cost of each class in bits.
        context_rows: int32 (N_CONTEXTS, Q·R), the row in ``frequencies`` that codes an integer, by its
            context and its row without contexts (see ``neighbour_contexts``); None without contexts.
        class_levels: int32 (K,), place of each class in the order of energies, from 0 to N_LEVELS − 1 (see
            ``header_contexts``). This and the following fields are None without contexts of headers.
        class_rows: int32 (N_HEADER_CONTEXTS, K + 1), the row in ``class_frequencies`` that codes a class, by
            its context and the class before.
        first_rows: int32 (N_HEADER_CONTEXTS, K), the row in ``frequencies`` that codes a first coefficient,
            by its context and class.
    """

    frequencies: jax.Array
    bits: jax.Array
    reconstruction_offsets: jax.Array
    order: jax.Array
    tables: jax.Array
    end_frequencies: jax.Array
    class_frequencies: jax.Array
    class_bits: jax.Array
    context_rows: jax.Array | None = None
    class_levels: jax.Array | None = None
    class_rows: jax.Array | None = None
    first_rows: jax.Array | None = None

    @property
    def n_shared(self) -> int:
        """Q·R, the number of tables that all coefficients except first ones share."""
        return self.reconstruction_offsets.shape[0]

    @property
    def n_quantizers(self) -> int:
        """Q, 1 or 2: see ``dependent_quantization``."""
        return self.n_shared // self.bits.shape[0]

    @property
    def n_contexts(self) -> int:
        """Number of contexts of integers; 1 without contexts."""
        return 1 if self.context_rows is None else self.context_rows.shape[0]

    @property
    def n_header_contexts(self) -> int:
        """Number of contexts of headers; 1 without contexts."""
        return 1 if self.class_rows is None else self.class_rows.shape[0]

    def table_row(self, table: jax.Array, quantizer: jax.Array | int) -> jax.Array:
        """Get the row in ``frequencies`` of a coefficient's table for an integer of a quantiser."""
        return table + quantizer * self.bits.shape[0]


def steps_of_single_quantizer(model: EntropyModel) -> float:
    """Get the number of steps of a single quantiser that are one step of the model at equal error."""
    return 1.0 if model.n_quantizers == 1 else _STEP_RATIO_OF_TWO_QUANTIZERS


def bits_per_squared_step(model: EntropyModel) -> float:
    """Get the bits that a squared error of one step of the model is worth."""
    return BITS_PER_SQUARED_STEP * steps_of_single_quantizer(model) ** 2


def weights_of_features(zero: _Array, one: _Array, further: _Array) -> tuple[_Array, _Array]:
    """Express the bits of an integer by two features: [magnitude > 0] and the magnitude.

    The bits are linear in the features: zero + w₀ · [magnitude > 0] + w₁ · magnitude.

    Args:
        zero: bits of a zero.
        one: bits of a one of either sign.
        further: bits of each further step.

    Returns:
        w₀ and w₁.
    """
    return one - zero - further, further


def abstract_entropy_model(
    n_coefficients: int,
    n_classes: int,
    n_tables: int,
    n_quantizers: int,
    n_contexts: int,
    n_header_contexts: int = 1,
) -> EntropyModel:
    """Describe the shapes and dtypes of an entropy model; one context stands for none."""
    n_shared, has_header_contexts = n_quantizers * n_tables, n_header_contexts > 1
    n_class_tables = 2 * n_classes if has_header_contexts else n_classes + 1

    def leaf(dtype: Any, *shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype)

    return EntropyModel(
        frequencies=leaf(jnp.uint16, n_shared + n_classes, tokens.N_TOKENS),
        bits=leaf(jnp.float32, n_tables, 3),
        reconstruction_offsets=leaf(jnp.float32, n_shared, 2),
        order=leaf(jnp.int32, n_coefficients - 1),
        tables=leaf(jnp.int32, n_classes, n_coefficients),
        end_frequencies=leaf(jnp.uint16, n_classes, tokens.N_TOKENS),
        class_frequencies=leaf(jnp.uint16, n_class_tables, tokens.N_TOKENS),
        class_bits=leaf(jnp.float32, n_classes),
        context_rows=leaf(jnp.int32, n_contexts, n_shared) if n_contexts > 1 else None,
        class_levels=leaf(jnp.int32, n_classes) if has_header_contexts else None,
        class_rows=leaf(jnp.int32, n_header_contexts, n_classes + 1) if has_header_contexts else None,
        first_rows=leaf(jnp.int32, n_header_contexts, n_classes) if has_header_contexts else None,
    )


def reconstruct_coefficients(model: EntropyModel, points: jax.Array, classes: jax.Array) -> jax.Array:
    """Reconstruct coefficients from their reconstruction points.

    Coefficients coded as one point are more often on the side of zero, so each point is moved by its table's
    reconstruction offset. First coefficients are not moved.

    Args:
        model: entropy model of the profile.
        points: int32 (n, 512), in half steps; those of first coefficients are even.
        classes: int32 (n,).

    Returns:
        float32 (n, 512), in steps.
    """
    n_tables = model.bits.shape[0]
    tables = jnp.minimum(model.tables, n_tables - 1)
    is_not_first = (jnp.arange(tables.shape[1]) > 0)[None]
    is_one = jnp.abs(to_integers(points)) == 1
    offsets: jax.Array | int = 0
    for quantizer in range(model.n_quantizers):
        rows = model.table_row(tables, quantizer)
        of_ones, of_larger = (
            jnp.where(is_not_first, model.reconstruction_offsets[rows, column], 0)[classes]
            for column in range(2)
        )
        of_quantizer = jnp.where(is_one, of_ones, of_larger)
        # Odd points belong to the second quantiser.
        offsets = of_quantizer if quantizer == 0 else jnp.where(points & 1 == 1, of_quantizer, offsets)
    offsets = jnp.where(points == 0, 0, offsets)
    return points.astype(jnp.float32) / 2 - jnp.sign(points).astype(jnp.float32) * offsets
