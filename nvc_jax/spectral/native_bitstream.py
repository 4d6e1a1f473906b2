"""Native kernels of the bitstream; ``bitstream`` has their specification."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy.native_streams import encode_by_kernel
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.native.dispatch import call
from nvc_jax.spectral.block_headers import BlockHeaders
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.header_contexts import blocks_inside
from nvc_jax.spectral.scan_order import ScanOrder
from nvc_jax.transform.block_layout import BlockLayout


def encode(
    model: EntropyModel,
    layout: BlockLayout,
    scan: ScanOrder,
    points: jax.Array,
    first: jax.Array,
    classes: jax.Array,
    n_lanes: jax.Array,
    *,
    max_lanes: int,
    capacity: int,
    clears: bool,
) -> WordStream:
    """Encode blocks as one stream; see ``bitstream.encode_reference``.

    Words behind the stream may be anything if they are not to be cleared.
    """
    arguments = (*_model_arguments(model), *_layout_arguments(layout, scan), points, first, classes, n_lanes)
    attributes = {"max_lanes": max_lanes, "capacity": capacity, "clears": clears, **_attributes(model)}
    return encode_by_kernel("nvc_spectral_encode", n_lanes, *arguments, **attributes)


def decode(
    model: EntropyModel, layout: BlockLayout, scan: ScanOrder, stream: WordStream, *, only_headers: bool
) -> tuple[jax.Array, BlockHeaders]:
    """Decode blocks; see ``bitstream.decode_reference``.

    Returns:
        Reconstruction points, int32 (n, 512), all 0 if ``only_headers``; and the headers.
    """
    n, n_coefficients = layout.order.shape[0], model.tables.shape[1]
    of_blocks = jax.ShapeDtypeStruct((n,), jnp.int32)
    results = (jax.ShapeDtypeStruct((n, n_coefficients), jnp.int32), of_blocks, of_blocks, of_blocks)
    arguments = (*_model_arguments(model), *_layout_arguments(layout, scan), *stream)
    points, first, classes, ends_of_block = call(
        "nvc_spectral_decode", results, *arguments, **_attributes(model), only_headers=only_headers
    )
    return points, BlockHeaders(classes, ends_of_block, first)


def _model_arguments(model: EntropyModel) -> tuple[jax.Array, ...]:
    of_contexts = (model.context_rows, model.class_levels, model.class_rows, model.first_rows)
    empty = ((0, model.n_shared), (0,), (0, 1), (0, 1))
    rows = (
        jnp.zeros(shape, jnp.int32) if leaf is None else leaf
        for leaf, shape in zip(of_contexts, empty, strict=True)
    )
    return model.frequencies, model.end_frequencies, model.class_frequencies, model.tables, *rows


def _layout_arguments(layout: BlockLayout, scan: ScanOrder) -> tuple[jax.Array, ...]:
    sides = blocks_inside(layout.valid_shape)
    return layout.order, layout.n_blocks, sides, layout.partial_type, scan.coefficients, scan.counts


def _attributes(model: EntropyModel) -> dict[str, Any]:
    return {"n_quantizers": np.int64(model.n_quantizers), "n_tables": np.int64(model.bits.shape[0])}
