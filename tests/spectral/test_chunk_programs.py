import dataclasses
import functools
import math

import jax
import numpy as np
import pytest
from sample_volume import VOLUME

import nvc_jax
from nvc_jax.chunks.transform_coder import ChunkToEncode
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral.chunk_programs import (
    cost_of,
    encode_packed,
    pack_numbers,
    reconstruct_packed,
    unpack_stream,
)
from nvc_jax.spectral.encoded_stream import to_bytes
from nvc_jax.spectral.post_filter import abstract_filter

VALUES = VOLUME[:16, :16, :24].astype(np.float32)
NUMBERS = (float(VALUES.min()), float(VALUES.max()), 0.02)
"""Values that count as 0 and as 1, and the step."""


@functools.cache
def programs() -> tuple:
    return (
        jax.jit(encode_packed),
        jax.jit(encoder.encode_below),
        jax.jit(reconstruct_packed, static_argnums=1),
    )


@pytest.mark.parametrize("has_filter", [False, True])
@pytest.mark.parametrize(
    ("valid_shape", "boundaries"), [((16, 16, 24), 0), ((13, 16, 21), 3), ((5, 16, 1), 63)]
)
def test_a_packed_chunk_is_what_the_encoder_returns(
    codec: nvc_jax.Codec, valid_shape: tuple, boundaries: int, has_filter: bool
) -> None:
    params = dict(codec.params)
    if has_filter:
        params["filter"] = jax.tree.map(
            lambda leaf: np.full(leaf.shape, 1e-3, np.float32), abstract_filter(2)["filter"]
        )
    chunk = ChunkToEncode(math.inf, VALUES, *NUMBERS, valid_shape, boundaries)
    given = pack_numbers(chunk)
    encode, encode_below, reconstruct = programs()
    packed = encode(params, VALUES, given)
    numbers = np.asarray(packed.numbers)
    own = (*map(np.float32, NUMBERS), np.array(valid_shape, np.int32), np.int32(boundaries))
    cost, encoded, symbols = encode_below(params, VALUES, *own, np.float32(math.inf), np.bool_(False))
    assert cost_of(numbers) == float(cost)
    unpacked = unpack_stream(given, numbers, packed.words, VALUES.shape, has_filter=has_filter)
    assert to_bytes(unpacked) == to_bytes(encoded)
    for mine, theirs in zip(
        jax.tree.leaves((dataclasses.replace(unpacked, stream=None), packed.symbols)),
        jax.tree.leaves((dataclasses.replace(encoded, stream=None), symbols)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)
    decoded = reconstruct(params, VALUES.shape, given, packed.numbers, packed.symbols)
    expected = jax.jit(decoder.reconstruct)(params, encoded, symbols)
    valid = tuple(map(slice, valid_shape))
    np.testing.assert_allclose(decoded[valid], expected[valid], atol=1e-6 * np.ptp(VALUES))


def test_a_dear_chunk_has_its_cost(codec: nvc_jax.Codec) -> None:
    encode, *_ = programs()
    chunks = [ChunkToEncode(limit, VALUES, *NUMBERS, VALUES.shape, 0) for limit in (0.0, math.inf)]
    dear, cheap = (encode(codec.params, VALUES, pack_numbers(chunk)) for chunk in chunks)
    assert cost_of(np.asarray(dear.numbers)) == cost_of(np.asarray(cheap.numbers)) > 0
