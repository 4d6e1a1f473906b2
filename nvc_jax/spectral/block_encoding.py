"""Encoding of a volume whose shape is decided: all further decisions, and the stream of its blocks.

Between the transform and the entropy coder GPUs keep coefficients and integers in arrays of their own kinds.
So these stages together have one form for GPUs, and one for all other devices.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.entropy.interleaving import max_lanes_for
from nvc_jax.entropy.word_stream import WordStream, n_groups_of
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import group_analysis
from nvc_jax.spectral.analysis import ShapedVolume, analyze
from nvc_jax.spectral.bitstream import BlockSymbols, encode_quantized, encode_scanned, stream_capacity
from nvc_jax.spectral.decision_tables import DecisionTables
from nvc_jax.spectral.encoder_options import EncoderOptions
from nvc_jax.spectral.profiles import Profiles, any_profile
from nvc_jax.spectral.stream_loops import GROUP_LOOPS
from nvc_jax.transform.block_layout import N_COEFFICIENTS


class EncodedBlocks(NamedTuple):
    """Stream of a volume, and what it stands for.

    Attributes:
        stream: of all blocks.
        symbols: of these.
        predictor: int32, of ``dc_prediction.DC_PREDICTORS``.
        profile: int32, of the model.
    """

    stream: WordStream
    symbols: BlockSymbols
    predictor: jax.Array
    profile: jax.Array


def encode_blocks(
    profiles: Profiles,
    volume: ShapedVolume,
    prepared: DecisionTables | None,
    *,
    options: EncoderOptions,
    clears: bool = True,
) -> EncodedBlocks:
    """Encode all blocks of a volume, which has its original.

    Arguments are those of ``analysis.analyze``, and ``clears`` of ``bitstream.encode_quantized``.

    Raises:
        ValueError: the options do not suit the model.
    """
    in_turn = partial(_encode, options=options, clears=clears)
    by_groups = partial(_encode_by_groups, options=options)
    is_optimized = any_profile(profiles).n_quantizers > 1 and options.optimizes_integers
    arguments = (profiles, volume, prepared)
    encoded: EncodedBlocks = on_cpu(
        *(in_turn, in_turn, *arguments),
        gpu=by_groups if is_optimized else None,
        results=_describe(volume.centered.size // N_COEFFICIENTS),
    )
    return encoded


def _describe(n_blocks: int) -> EncodedBlocks:
    """Describe the results for a number of blocks."""

    def numbers(*shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, jnp.int32)

    words: Any = jax.ShapeDtypeStruct((stream_capacity(n_blocks, N_COEFFICIENTS),), jnp.uint16)
    stream: Any = WordStream(words, numbers(n_groups_of(max_lanes_for(n_blocks))), numbers())
    symbols = BlockSymbols(numbers(n_blocks, N_COEFFICIENTS), numbers(n_blocks), numbers(n_blocks))
    return EncodedBlocks(stream, symbols, numbers(), numbers())


def _encode(
    profiles: Profiles,
    volume: ShapedVolume,
    prepared: DecisionTables | None,
    *,
    options: EncoderOptions,
    clears: bool,
) -> EncodedBlocks:
    """Encode blocks operation by operation, each with a form for the device."""
    analysis = analyze(profiles, volume, options, prepared)
    stream = encode_quantized(
        *(analysis.model, analysis.layout, analysis.scan),
        *(analysis.quantized, analysis.symbols, analysis.n_lanes),
        clears=clears,
    )
    return EncodedBlocks(stream, analysis.symbols, analysis.predictor, analysis.profile)


def _encode_by_groups(
    profiles: Profiles,
    volume: ShapedVolume,
    prepared: DecisionTables | None,
    *,
    options: EncoderOptions,
) -> EncodedBlocks:
    """Encode blocks by kernels of GPUs."""
    analysis = group_analysis.analyze(profiles, volume, options, prepared)
    symbols = analysis.symbols
    stream = encode_scanned(
        *(GROUP_LOOPS, analysis.model, analysis.layout, analysis.scan),
        *(*analysis.quantized, symbols.first, symbols.classes, analysis.n_lanes),
    )
    return EncodedBlocks(stream, symbols, analysis.predictor, analysis.profile)
