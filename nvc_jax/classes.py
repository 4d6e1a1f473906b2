"""The entropy model: every block names a class, a class names a frequency table for every latent.

A block's class says how large its latents are likely to be, so that quiet blocks cost next to nothing. The
encoder picks the class that costs the fewest bits, and decides each latent's integer by rate and distortion;
the decoder follows, with integers only.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax import entropy

BITS_PER_ERROR = 6.0
"""Bits that one squared step of error is worth: the slope of rate against distortion at high rates."""

_DROPPED = (20.0, 6.0)  # bits that dropping a latent counts: for being there, and for each step of magnitude


class ClassModel(NamedTuple):
    """Parameters of the entropy model for blocks of D latents, K classes and R tables.

    Attributes:
        frequencies: uint16 (R + K, 64), the tables: R that latents share, and one for each class's means.
        bits: float32 (R, 3): what a zero costs by each table, a one of either sign, each further step.
        shrink: float32 (R, 2): how far the mean of what a one, and a larger magnitude, stands for lies
            towards zero, in steps.
        order: int32 (D,), latents in the order in which they are coded; the first is the block's mean.
        tables: int32 (K, D), each class's table for each place in that order; the mean's is R + class.
        lengths: int32 (K,), how many latents each class codes, at least 1; the others are zero.
        class_frequencies: uint16 (K + 1, 64), the tables of classes, by the class before; K is none.
        class_bits: float32 (K,), what naming a class costs on average.
    """

    frequencies: jax.Array
    bits: jax.Array
    shrink: jax.Array
    order: jax.Array
    tables: jax.Array
    lengths: jax.Array
    class_frequencies: jax.Array
    class_bits: jax.Array


def abstract_class_model(n_latents: int, n_classes: int, n_tables: int) -> ClassModel:
    """Shapes and dtypes of a class model."""

    def leaf(dtype: Any, *shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype)

    return ClassModel(
        frequencies=leaf(jnp.uint16, n_tables + n_classes, entropy.N_TOKENS),
        bits=leaf(jnp.float32, n_tables, 3),
        shrink=leaf(jnp.float32, n_tables, 2),
        order=leaf(jnp.int32, n_latents),
        tables=leaf(jnp.int32, n_classes, n_latents),
        lengths=leaf(jnp.int32, n_classes),
        class_frequencies=leaf(jnp.uint16, n_classes + 1, entropy.N_TOKENS),
        class_bits=leaf(jnp.float32, n_classes),
    )


def round_above(values: jax.Array, first: jax.Array, further: jax.Array) -> jax.Array:
    """Round |values| to integers, int32: to at least 1 from ``first`` on, then up from ``further`` on."""
    magnitude = jnp.abs(values)
    rounded = jnp.maximum(jnp.floor(magnitude + 1 - further), 1)
    rounded = jnp.where(magnitude < first, 0, jnp.minimum(rounded, entropy.MAX_MAGNITUDE))
    return (jnp.sign(values) * rounded).astype(jnp.int32)


def cost_matrix(model: ClassModel) -> tuple[jax.Array, jax.Array]:
    """What each class makes of a block: (2·D, K) weights of [is not zero, magnitude], and (K,) constants.

    The mean (place 0) is left out: it is coded as a difference, whatever the class.
    """
    place = jnp.arange(model.tables.shape[1])
    coded = (place[None] < model.lengths[:, None]) & (place > 0)[None]
    zero, first, further = (model.bits.at[model.tables, kind].get(mode="clip") for kind in range(3))
    there, step = (
        jnp.where(coded, bits, jnp.where(place > 0, dropped, 0.0)[None])
        for bits, dropped in zip((first - zero - further, further), _DROPPED, strict=True)
    )
    constants = jnp.sum(jnp.where(coded, zero, 0), axis=1) + model.class_bits
    return jnp.concatenate([there, step], axis=1).T, constants


def decide(model: ClassModel, values: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Choose classes and integers for blocks.

    Args:
        model: the entropy model.
        values: float32 (n, D), latents over the step, in the model's order.

    Returns:
        int32 (n, D) integers, int32 (n,) classes, and float32 (n,) bits without the means'.
    """
    weights, constants = cost_matrix(model)

    def classify(integers: jax.Array) -> tuple[jax.Array, jax.Array]:
        magnitude = jnp.abs(integers).astype(jnp.float32)
        features = jnp.concatenate([jnp.minimum(magnitude, 1), magnitude], axis=1)
        bits = features @ weights + constants[None]
        return jnp.argmin(bits, axis=1).astype(jnp.int32), jnp.min(bits, axis=1)

    zero, first, further = (model.bits[:, kind] for kind in range(3))
    # An integer is worth it where it saves more error than its bits cost.
    first_above = jnp.minimum(0.5 + (first - zero) / (2 * BITS_PER_ERROR), 1.3)
    further_above = jnp.minimum(0.5 + further / (2 * BITS_PER_ERROR), 1.0)
    place = jnp.arange(values.shape[1])[None]
    integers = round_above(values, jnp.float32(0.6), jnp.float32(0.6))
    for _ in range(2):
        classes, _ = classify(integers)
        tables = model.tables[classes]
        thresholds = (above.at[tables].get(mode="clip") for above in (first_above, further_above))
        integers = round_above(values, *thresholds)
        integers = jnp.where(place < model.lengths[classes][:, None], integers, 0)
    means = round_above(values[:, :1], jnp.float32(0.5), jnp.float32(0.5))
    integers = jnp.concatenate([means, integers[:, 1:]], axis=1)
    return integers, classes, classify(integers)[1]


def restore(model: ClassModel, integers: jax.Array, classes: jax.Array) -> jax.Array:
    """What integers (n, D) stand for, float32 in steps: their tables' means, a little towards zero."""
    magnitude = jnp.abs(integers)
    tables = model.tables[classes]
    one, more = (model.shrink.at[tables, kind].get(mode="clip") for kind in range(2))
    shrink = jnp.where(magnitude == 1, one, more)
    shrink = jnp.where((magnitude == 0) | (jnp.arange(integers.shape[1]) == 0)[None], 0, shrink)
    return jnp.sign(integers).astype(jnp.float32) * (magnitude.astype(jnp.float32) - shrink)


class _Runs(NamedTuple):
    """How items laid end to end are shared out: an equal run to each lane.

    Attributes:
        starts: int32 (lanes,), where each lane's run starts.
        length: int32, of a run; the last may be shorter.
        total: int32, how many items there are.
    """

    starts: jax.Array
    length: jax.Array
    total: jax.Array

    def at(self, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Each lane's item at a step, and whether there is one."""
        index = self.starts + step
        return index, index < self.total


def _share_out(total: jax.Array, n_lanes: jax.Array, max_lanes: int) -> _Runs:
    length = -(-total // n_lanes)
    return _Runs(jnp.arange(max_lanes, dtype=jnp.int32) * length, length, total)


def _locate(ends: jax.Array, index: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Block and place of integers by their index, from where each block's integers end."""
    last = ends.shape[0] - 1
    block = jnp.minimum(jnp.searchsorted(ends, index, side="right").astype(jnp.int32), last)
    return block, index - jnp.where(block > 0, ends[jnp.maximum(block - 1, 0)], 0)


def max_lanes_for(n_blocks: int) -> int:
    """Most lanes of a stream of ``n_blocks`` blocks."""
    return max(1, n_blocks // 16)


def stream_capacity(n_blocks: int, n_latents: int) -> int:
    """16-bit words that any stream of so many blocks fits in."""
    return entropy.WORDS_PER_INTEGER * n_blocks * (n_latents + 1) + 2 * max_lanes_for(n_blocks)


def _varying_like(reference: jax.Array, tree: Any) -> Any:
    """``tree`` unchanged, but varying over the devices of a shard_map where ``reference`` does.

    Loops want the types of what they carry to be the same before and after; constants do not vary.
    """
    zero = (reference.reshape(-1)[0] * 0).astype(jnp.int32)
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), tree)


def encode_stream(
    model: ClassModel, integers: jax.Array, classes: jax.Array, n_lanes: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Code integers and classes of blocks as one stream.

    What lies beyond a class's length is taken for zero. Steps run backwards: see ``entropy``.

    Args:
        model: the entropy model.
        integers: int32 (n, D).
        classes: int32 (n,).
        n_lanes: int32, from 1 to ``max_lanes_for(n)``: each costs four bytes and shortens the loops.

    Returns:
        uint16 (capacity,) words, and int32, how many are in use.
    """
    n, n_latents = integers.shape
    max_lanes = max_lanes_for(n)
    lengths = model.lengths[classes]
    ends = jnp.cumsum(lengths, dtype=jnp.int32)
    runs = _share_out(ends[-1], n_lanes, max_lanes)
    tables = entropy.make_tables(model.frequencies)

    def push_latent(backwards: jax.Array, state: tuple) -> tuple:
        coder, block, place = state
        _, active = runs.at(runs.length - 1 - backwards)
        row, value = model.tables[classes[block], place], integers[block, place]
        coder = entropy.push(coder, tables, row, value, active)
        previous = jnp.maximum(block - 1, 0)
        first = place == 0
        place = jnp.where(active, jnp.where(first, lengths[previous] - 1, place - 1), place)
        return coder, jnp.where(active & first, previous, block), place

    coder = entropy.start_encoding(max_lanes, stream_capacity(n, n_latents))
    coder = _varying_like(classes, coder)
    last = jnp.minimum(runs.starts + runs.length, runs.total) - 1
    coder, *_ = lax.fori_loop(0, runs.length, push_latent, (coder, *_locate(ends, last)))

    class_tables = entropy.make_tables(model.class_frequencies)
    class_runs = _share_out(jnp.int32(n), n_lanes, max_lanes)

    def push_class(backwards: jax.Array, coder: entropy.Coder) -> entropy.Coder:
        step = class_runs.length - 1 - backwards
        index, active = class_runs.at(step)
        block = jnp.minimum(index, n - 1)
        before = jnp.where(step > 0, classes[jnp.maximum(block - 1, 0)], model.lengths.shape[0])
        return entropy.push_token(coder, class_tables, before, classes[block].astype(jnp.uint32), active)

    coder = lax.fori_loop(0, class_runs.length, push_class, coder)
    return entropy.finish_encoding(coder, n_lanes)


def decode_stream(
    model: ClassModel, words: jax.Array, used: jax.Array, n_lanes: jax.Array, n_blocks: int
) -> tuple[jax.Array, jax.Array]:
    """Decode integers (n, D) and classes (n,): the inverse of ``encode_stream``."""
    n_classes, n_latents = model.tables.shape
    max_lanes = max_lanes_for(n_blocks)
    coder = entropy.start_decoding(words, used, n_lanes, max_lanes)
    class_tables = entropy.make_tables(model.class_frequencies)
    class_runs = _share_out(jnp.int32(n_blocks), n_lanes, max_lanes)

    def pop_class(step: jax.Array, state: tuple) -> tuple:
        coder, classes, before = state
        index, active = class_runs.at(step)
        coder, token = entropy.pop_token(coder, class_tables, before, active)
        found = jnp.minimum(token.astype(jnp.int32), n_classes - 1)  # a damaged stream may name any token
        return coder, classes.at[jnp.where(active, index, n_blocks)].set(found, mode="drop"), found

    none = jnp.full(max_lanes, n_classes, jnp.int32)
    state = (coder, *_varying_like(words, (jnp.zeros(n_blocks, jnp.int32), none)))
    coder, classes, _ = lax.fori_loop(0, class_runs.length, pop_class, state)

    lengths = model.lengths[classes]
    ends = jnp.cumsum(lengths, dtype=jnp.int32)
    runs = _share_out(ends[-1], n_lanes, max_lanes)
    tables = entropy.make_tables(model.frequencies)

    def pop_latent(step: jax.Array, state: tuple) -> tuple:
        coder, integers, block, place = state
        _, active = runs.at(step)
        coder, value = entropy.pop(coder, tables, model.tables[classes[block], place], active)
        target = jnp.where(active, block, n_blocks)
        integers = integers.at[target, place].set(value, mode="drop")
        last = place + 1 == lengths[block]
        block = jnp.where(last, jnp.minimum(block + 1, n_blocks - 1), block)
        return coder, integers, block, jnp.where(last, 0, place + 1)

    integers = _varying_like(words, jnp.zeros((n_blocks, n_latents), jnp.int32))
    start = (coder, integers, *_locate(ends, jnp.minimum(runs.starts, runs.total - 1)))
    _, integers, *_ = lax.fori_loop(0, runs.length, pop_latent, start)
    return integers, classes
