"""Fitting of the entropy model: classes of blocks and their frequency tables, by counting.

Every profile is fitted on blocks of similar rates, in three stages:

1. Blocks are clustered into classes, and the distributions of all coefficients in all classes are merged into
   a few tables (see ``clustering``). The blocks are then quantised with that model as the encoder would, and
   clustered again.
2. Tables of each quantiser, and reconstruction offsets, come from the integers of the sampled blocks.
3. All profiles together encode complete chunks. The tokens that the encoder codes are counted, and give all
   frequencies, and the tables that contexts exchange (see ``context_tables``, ``header_tables``).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from nvc_jax.entropy import tokens as tokens_module
from nvc_jax.entropy.frequency_tables import quantize_frequencies
from nvc_jax.spectral import scan_order
from nvc_jax.spectral.class_decision import make_decision_costs, quantize_independently
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.header_contexts import N_HEADER_CONTEXTS
from nvc_jax.spectral.training.clustering import cluster_blocks, integer_features, merge_distributions
from nvc_jax.spectral.training.context_tables import exchange_tables
from nvc_jax.spectral.training.geometric import (
    distribution_bits,
    fit_distributions,
    leave_rare_to_escape,
    smooth_counts,
    token_probabilities,
)
from nvc_jax.spectral.training.header_tables import fit_class_tables, fit_first_tables, levels_of_classes
from nvc_jax.spectral.training.symbol_counts import CodedIntegers, quantize_samples
from nvc_jax.training.mesh import divide_rows, replicate

_N_ROUNDS = 3
"""Rounds of fitting and quantising: for classes, and for the tables of two quantisers. See ``clustering`` for
the effect of more."""
_BITS_LEFT_GIVEN_BEFORE = 0.7
"""Share of a class's bits that is left on average once the class of the block before is known: an estimate
from the training volumes."""

_OFFSET_PRIOR = 50
"""Integers without an offset that are added to those of each table: few integers say little. No
measurement of this and of the other numbers of added tokens is on record."""
_OFFSET_LIMITS = (-0.2, 0.3)
"""Limits of reconstruction offsets, in steps: rare integers must not move points far."""

_TOKEN_PRIOR = 500
"""Tokens by the frequencies before that are added to the counts of each shared table."""
_DC_PRIOR, _DC_FLOOR = 20, 0.002
"""Tokens by the common distribution, and share of a token for every token, that are added to the counts of
each DC table: perhaps no volume has chosen the profile."""
_END_PRIOR, _CLASS_PRIOR = 20, 50
"""Tokens by the common distribution that are added to the counts of each table of ends of block and of
classes."""

_quantize = jax.jit(lambda model, values: quantize_independently(make_decision_costs(model), values)[0])


def fit_profile(
    values: np.ndarray, integers: np.ndarray, order: np.ndarray, config: SpectralConfig, mesh: Mesh
) -> tuple[EntropyModel, float]:
    """Fit classes and tables of a profile on sampled blocks.

    Args:
        values: float32 (n, 512), coefficients in steps of one quantiser.
        integers: int32 (n, 512), the same rounded.
        order: int (511,), coefficients in the order of coding.
        config: of the model.
        mesh: devices that share the blocks.

    Returns:
        The profile, whose frequencies are left for ``take_counts``, and the bits of a coefficient by its
        classes.
    """
    model, bits = _fit_classes(integers, order, config, mesh)
    shared = divide_rows(mesh, values)
    for _ in range(_N_ROUNDS - 1):
        quantized = _quantize(replicate(mesh, jax.device_get(model)), shared)
        integers = np.array(replicate(mesh, quantized))[: len(values)]
        model, bits = _fit_classes(integers, order, config, mesh)
    return _fit_quantizers(model, values, mesh), bits


def _fit_classes(
    integers: np.ndarray, order: np.ndarray, config: SpectralConfig, mesh: Mesh
) -> tuple[EntropyModel, float]:
    """Fit classes and their tables on integers (n, 512), whose DC is set to 0; also return bits of each."""
    integers[:, 0] = 0  # DC is coded as differences, which are counted later.
    n_classes, n_shared = config.n_classes, config.n_quantizers * config.n_tables
    classes, bits = cluster_blocks(integers, n_classes, mesh)
    nonzero, magnitude = integer_features(integers)
    member = np.eye(n_classes, dtype=np.float32)[classes]
    counts = np.repeat(member.sum(axis=0)[:, None], integers.shape[1], axis=1)
    nonzero_sums, magnitude_sums = member.T @ nonzero, member.T @ magnitude
    merged, p_nonzero, decay = merge_distributions(
        counts.reshape(-1), nonzero_sums.reshape(-1), magnitude_sums.reshape(-1), config.n_tables
    )
    tables = merged.reshape(n_classes, -1)
    tables[:, 0] = n_shared + np.arange(n_classes)

    def unfitted(n_rows: int) -> jax.Array:
        return jnp.ones((n_rows, tokens_module.N_TOKENS), jnp.uint16)

    model = EntropyModel(
        frequencies=unfitted(n_shared + n_classes),
        bits=jnp.asarray(distribution_bits(p_nonzero, decay)),
        reconstruction_offsets=jnp.zeros((n_shared, 2), jnp.float32),
        order=jnp.asarray(order, jnp.int32),
        tables=jnp.asarray(tables, jnp.int32),
        end_frequencies=unfitted(n_classes),
        class_frequencies=unfitted(n_classes + 1),
        class_bits=jnp.asarray(-np.log2((member.sum(axis=0) + 1) / len(classes)), jnp.float32),
        context_rows=_own_rows(config.n_contexts, n_shared),
    )
    if config.n_header_contexts > 1:
        model = add_header_contexts(model)
    return model, bits / integers.shape[1]


def add_header_contexts(model: EntropyModel) -> EntropyModel:
    """Add contexts of headers to a model, in which all headers keep their own tables."""
    n_classes = len(model.tables)
    bits_of_zeros = np.asarray(model.bits)[np.asarray(model.tables)[:, 1:], 0].sum(axis=1, dtype=np.float64)
    further = jnp.repeat(model.class_frequencies[-1:], n_classes - 1, axis=0)
    own_classes, own_first = (_own_rows(N_HEADER_CONTEXTS, n) for n in (n_classes + 1, n_classes))
    return model._replace(
        class_frequencies=jnp.concatenate([model.class_frequencies, further]),
        class_levels=jnp.asarray(levels_of_classes(bits_of_zeros)),
        class_rows=own_classes,
        first_rows=None if own_first is None else model.n_shared + own_first,
    )


def _own_rows(n_contexts: int, n_tables: int) -> jax.Array | None:
    """Leave everything its own table in all contexts; None without contexts."""
    own = jnp.arange(n_tables, dtype=jnp.int32)[None]
    return jnp.repeat(own, n_contexts, axis=0) if n_contexts > 1 else None


def _fit_quantizers(model: EntropyModel, values: np.ndarray, mesh: Mesh) -> EntropyModel:
    """Fit the shared tables of each quantiser, and the reconstruction offsets, on sampled blocks."""
    n_quantizers, n_shared = model.n_quantizers, model.n_shared
    zero, _, further = np.moveaxis(np.asarray(model.bits, np.float64), -1, 0)
    rows = np.concatenate([token_probabilities(1 - 2**-zero, 2**-further)] * n_quantizers)
    for _ in range(1 if n_quantizers == 1 else _N_ROUNDS):
        frequencies = jnp.asarray(quantize_frequencies(leave_rare_to_escape(rows)))
        model = model._replace(frequencies=model.frequencies.at[:n_shared].set(frequencies))
        coded = quantize_samples(model, values, mesh)
        if n_quantizers > 1:
            weights = (None, coded.magnitudes > 0, coded.magnitudes)
            sums = (np.bincount(coded.rows, weight, n_shared) for weight in weights)
            rows = token_probabilities(*fit_distributions(*sums))
    return model._replace(reconstruction_offsets=_fit_offsets(coded, n_shared))


def _fit_offsets(coded: CodedIntegers, n_shared: int) -> jax.Array:
    """Compute the mean excess of reconstruction points by table, for magnitude 1 and for larger ones."""
    offsets = []
    for is_chosen in (coded.magnitudes == 1, coded.magnitudes > 1):
        count = np.bincount(coded.rows[is_chosen], minlength=n_shared)
        excess = np.bincount(coded.rows[is_chosen], coded.excess[is_chosen], n_shared)
        offsets.append(excess / (count + _OFFSET_PRIOR))
    return jnp.asarray(np.clip(np.stack(offsets, 1), *_OFFSET_LIMITS), jnp.float32)


def take_counts(model: EntropyModel, counts: Sequence[np.ndarray]) -> EntropyModel:
    """Replace the frequencies of a profile by those of counted tokens, arrays in the order of ``Counts``."""
    n_classes, n_shared = len(model.tables), model.n_shared
    integers, first, ends_of_block, by_context = (np.array(count) for count in counts)
    transitions = smooth_counts(by_context.sum(axis=0), _CLASS_PRIOR, n_classes)
    transitions[n_classes] = transitions[:n_classes].sum(axis=0)
    class_shares = transitions[n_classes, :n_classes] / transitions[n_classes].sum()

    expected = np.asarray(model.frequencies[:n_shared], np.float64)
    expected[:, tokens_module.ESCAPE] = 0
    expected /= expected.sum(axis=1, keepdims=True)
    class_rows, first_rows, class_tables = model.class_rows, model.first_rows, transitions
    if class_rows is None:
        first = first[0]
    else:
        rows, further = fit_class_tables(by_context, transitions)
        class_rows, class_tables = jnp.asarray(rows), np.concatenate([transitions, further])
        rows, first = fit_first_tables(first)
        first_rows = jnp.asarray(n_shared + rows)
    first += _DC_PRIOR * first.sum(axis=0) / max(first.sum(), 1) + _DC_FLOOR
    shared = integers.sum(axis=0) + _TOKEN_PRIOR * expected
    context_rows = model.context_rows
    if context_rows is not None:
        context_rows = jnp.asarray(exchange_tables(integers, shared, model.n_quantizers))

    def frequencies(rows: np.ndarray) -> jax.Array:
        return jnp.asarray(quantize_frequencies(rows))

    ends_of_block = smooth_counts(ends_of_block, _END_PRIOR, scan_order.N_ENDS_OF_BLOCK)
    return model._replace(
        frequencies=frequencies(leave_rare_to_escape(np.concatenate([shared, first]))),
        end_frequencies=frequencies(ends_of_block),
        class_frequencies=frequencies(class_tables),
        class_bits=jnp.asarray(-_BITS_LEFT_GIVEN_BEFORE * np.log2(class_shares), jnp.float32),
        context_rows=context_rows,
        class_rows=class_rows,
        first_rows=first_rows,
    )
