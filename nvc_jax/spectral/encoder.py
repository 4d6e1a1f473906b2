"""The encoder of nvc-1: a volume to one entropy-coded stream, one compiled program.

The step of the quantiser is a run-time argument: one model, and one compiled program, serve every rate.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.batching import in_turn_on_tpus
from nvc_jax.core.normalization import normalize
from nvc_jax.core.parameters import Params
from nvc_jax.core.platforms import hoist
from nvc_jax.core.shapes import check_shape
from nvc_jax.native.unset_arrays import unset_arrays
from nvc_jax.spectral import decoder
from nvc_jax.spectral.analysis import ShapedVolume, decide_shape
from nvc_jax.spectral.bitstream import BlockSymbols
from nvc_jax.spectral.block_encoding import encode_blocks
from nvc_jax.spectral.decision_tables import DecisionTables
from nvc_jax.spectral.encoded_stream import EncodedStream
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.filter_setting import choose_setting
from nvc_jax.transform.boundary_emphasis import boundaries_to_emphasize
from nvc_jax.transform.separable import Original


@functools.partial(jax.jit, static_argnames="options")
def encode(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array | None = None,
    boundaries: jax.Array | None = None,
    options: EncoderOptions = DEFAULT_OPTIONS,
    block_sums: jax.Array | None = None,
) -> EncodedStream:
    """Encode a volume; arguments and errors are those of ``encode_with_symbols``.

    A program of its own: it does not return the integers, so they need no memory of their own.
    """
    encoded, _ = encode_with_symbols(
        *(params, volume, minimum, maximum, step, valid_shape, boundaries),
        options=options,
        block_sums=block_sums,
    )
    return encoded


@functools.partial(jax.jit, static_argnames="options")
def encode_with_symbols(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array | None = None,
    boundaries: jax.Array | None = None,
    options: EncoderOptions = DEFAULT_OPTIONS,
    block_sums: jax.Array | None = None,
) -> tuple[EncodedStream, BlockSymbols]:
    """Encode a volume; also return the integers of its stream, for ``decoder.reconstruct``.

    Args:
        params: of the model: ``entropy``, its ``profiles``.
        volume: (z, y, x), a supported dtype.
        minimum: float32, value that is coded as 0: the smallest of the volume, or of what it is a part of.
        maximum: float32, value that is coded as 1.
        step: float32, of the quantiser, relative to maximum − minimum; at least MIN_STEP.
        valid_shape: int32 (3,), voxels along z, y, x that must be decodable, from the first; all by default.
        boundaries: int32, boundaries at which the volume meets other chunks (see ``boundary_emphasis``); none
            by default.
        options: choices that the encoder may make; static.
        block_sums: of the volume, if they are known: see ``volume_survey``.

    Raises:
        ValueError: the options do not suit the model.
    """
    valid_shape = jnp.array(volume.shape, jnp.int32) if valid_shape is None else valid_shape
    boundaries = jnp.int32(0) if boundaries is None else boundaries

    def encode_one(block_sums: jax.Array | None, *arguments: Any) -> tuple[EncodedStream, BlockSymbols]:
        return _prepare(*arguments, options=options, block_sums=block_sums).encode()

    arguments = (block_sums, params, volume, minimum, maximum, step, valid_shape, boundaries)
    encoded: tuple[EncodedStream, BlockSymbols] = in_turn_on_tpus(encode_one)(*arguments)
    return encoded


@functools.partial(jax.jit, static_argnames="options")
def encode_with_cost(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    boundaries: jax.Array,
    is_bounded: jax.Array | bool = False,
    options: EncoderOptions = DEFAULT_OPTIONS,
) -> tuple[jax.Array, EncodedStream]:
    """Encode a volume, and estimate its cost; arguments are those of ``encode_below``.

    A batch of volumes encodes them all, so that ``encode_below`` would only choose between results.
    """

    def encode_one(is_bounded: jax.Array, *arguments: Any) -> tuple[jax.Array, EncodedStream]:
        prepared = _prepare(*arguments, options=options, is_bounded=is_bounded)
        return prepared.cost, prepared.encode()[0]

    arguments = (jnp.asarray(is_bounded), params, volume, minimum, maximum, step, valid_shape, boundaries)
    encoded: tuple[jax.Array, EncodedStream] = in_turn_on_tpus(encode_one)(*arguments)
    return encoded


@functools.partial(jax.jit, static_argnames="options")
def encode_below(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    boundaries: jax.Array,
    limit: jax.Array,
    is_bounded: jax.Array | bool = False,
    options: EncoderOptions = DEFAULT_OPTIONS,
    prepared: DecisionTables | None = None,
) -> tuple[jax.Array, EncodedStream, BlockSymbols]:
    """Encode a volume unless it is likely to cost too much, which takes a fifth of the time to find out.

    Arguments are those of ``encode_with_symbols``; ``limit``, float32, in bits and error; ``is_bounded``,
    bool, whether decoded values keep a bound: without the model's filter; and ``prepared``, the tables of all
    profiles for the options, if they have been prepared.

    Returns:
        The cost, float32, as ``shape_decision`` estimates it; then what ``encode_with_symbols`` returns,
        except that words after the end of the stream are arbitrary. If the cost is larger than the limit,
        only the cost means anything.
    """

    def encode_one(
        prepared: DecisionTables | None, limit: jax.Array, is_bounded: jax.Array, *arguments: Any
    ) -> tuple[jax.Array, EncodedStream, BlockSymbols]:
        begun = _prepare(*arguments, options=options, is_bounded=is_bounded, prepared=prepared, clears=False)
        # Traced once; an estimate that is no number does not keep a volume from being encoded.
        encode, described, captured = hoist(begun.encode)

        def skip(_: list[Any]) -> tuple[EncodedStream, BlockSymbols]:
            return unset_arrays(described)

        return (begun.cost, *lax.cond(begun.cost > limit, skip, encode, captured))

    of_chunk = (params, volume, minimum, maximum, step, valid_shape, boundaries)
    arguments = (prepared, limit, jnp.asarray(is_bounded), *of_chunk)
    encoded: tuple[jax.Array, EncodedStream, BlockSymbols] = in_turn_on_tpus(encode_one)(*arguments)
    return encoded


_UNIT: dict[str, Any] = {"minimum": np.float32(0), "maximum": np.float32(1), "dtype": "float32"}
"""Fields of an encoded volume that decodes in units of its range."""


class _Prepared(NamedTuple):
    """A volume after the decision of its transform's shape.

    Attributes:
        cost: float32, estimated.
        encode: encodes the volume.
    """

    cost: jax.Array
    encode: Callable[[], tuple[EncodedStream, BlockSymbols]]


def _prepare(
    params: Params,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    boundaries: jax.Array,
    *,
    options: EncoderOptions,
    block_sums: jax.Array | None = None,
    is_bounded: jax.Array | None = None,
    prepared: DecisionTables | None = None,
    clears: bool = True,
) -> _Prepared:
    """Choose the shape of a volume's transform; arguments as of ``encode_with_symbols``, ``encode_below``."""
    original = Original(volume, minimum, maximum)
    centered = original.padded()
    boundaries = boundaries_to_emphasize(check_shape(centered.shape), valid_shape, boundaries)
    decision = decide_shape(params["entropy"], centered, step, valid_shape, options, original, block_sums)

    def encode() -> tuple[EncodedStream, BlockSymbols]:
        shaped = ShapedVolume(centered, step, valid_shape, boundaries, decision.shape, original)
        blocks = encode_blocks(params["entropy"], shaped, prepared, options=options, clears=clears)
        encoded = EncodedStream(
            stream=blocks.stream,
            minimum=minimum,
            maximum=maximum,
            step=step,
            transform=decision.shape,
            predictor=blocks.predictor,
            profile=blocks.profile,
            valid_shape=valid_shape,
            boundaries=boundaries,
            shape=check_shape(volume.shape),
            dtype=str(volume.dtype),
        )
        if "filter" in params:
            unfiltered = dataclasses.replace(encoded, **_UNIT)
            decoded = decoder.reconstruct(params, unfiltered, blocks.symbols)
            setting = choose_setting(
                *(params["filter"], decoded, normalize(volume, minimum, maximum)),
                *(valid_shape, step, jnp.bool_(False) if is_bounded is None else is_bounded),
            )
            encoded = dataclasses.replace(encoded, filter_setting=setting)
        return encoded, blocks.symbols

    return _Prepared(decision.cost, encode)


def center_volume(volume: jax.Array, minimum: jax.Array, maximum: jax.Array) -> jax.Array:
    """Scale a volume to [−½, ½], float32, and pad its sides to multiples of 8."""
    return Original(volume, minimum, maximum).padded()
