from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import MODELS, layout_for, random_symbols

import nvc_jax
from nvc_jax.core.normalization import denormalize
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.spectral import EncodedStream, group_reconstruction, scan_order
from nvc_jax.spectral.bitstream import BlockSymbols, decode_in_order
from nvc_jax.spectral.coding_tables import take_coding_tables
from nvc_jax.spectral.dc_prediction import accumulate_dc
from nvc_jax.spectral.dequantization import dequantize
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.profiles import shared_frequencies, take_profile
from nvc_jax.spectral.stream_loops import GROUP_LOOPS
from nvc_jax.transform import separable
from nvc_jax.transform.axis_transform import AxisTransform
from nvc_jax.transform.block_layout import BlockLayout, make_layout
from nvc_jax.transform.separable import TransformShape

SHAPE: Shape3 = (14, 24, 32)
PADDED, VALID = (16, 24, 32), (13, 24, 31)
LIMITS = (jnp.float32(-1), jnp.float32(3))
STEP = jnp.float32(0.1)


def with_offsets(n_quantizers: int) -> EntropyModel:
    """A model that moves reconstruction points."""
    model = MODELS[n_quantizers]
    offsets = np.random.default_rng(3).uniform(0, 0.3, model.reconstruction_offsets.shape)
    return model._replace(reconstruction_offsets=jnp.asarray(offsets, jnp.float32))


@jax.jit
def make_transforms() -> list[AxisTransform]:
    shape = TransformShape(jnp.array([0, 1, 2], jnp.int32), jnp.array([0, 1, 2], jnp.int32))
    return separable.make_axis_transforms(PADDED, jnp.array(VALID, jnp.int32), shape, jnp.int32(0))


@jax.jit
def by_stages(model: EntropyModel, symbols: BlockSymbols, transforms: list[AxisTransform]) -> jax.Array:
    centered = separable.inverse(dequantize(model, symbols, symbols.first, STEP), transforms)
    return denormalize(centered[: SHAPE[0]] + 0.5, *LIMITS, "float32")


@partial(jax.jit, static_argnames="in_order")
def by_kernels(
    model: EntropyModel,
    layout: BlockLayout,
    symbols: BlockSymbols,
    transforms: list[AxisTransform],
    *,
    in_order: bool,
) -> jax.Array:
    points: group_reconstruction.BlockPoints | group_reconstruction.CodedPoints
    points = group_reconstruction.BlockPoints(symbols.points)
    if in_order:
        scan = scan_order.make_scan_order(model, layout)
        scanned = scan_order.scan_blocks(scan, layout, symbols.points)
        is_coded = jnp.arange(scanned.ordered.shape[1])[None] < scanned.counts[:, None]
        index = (jnp.cumsum(scanned.counts) - scanned.counts)[:, None] + jnp.cumsum(is_coded, axis=1) - 1
        # What follows the last integer is arbitrary.
        coded = jnp.full(symbols.points.size, 77, jnp.int32)
        coded = coded.at[jnp.where(is_coded, index, coded.size)].set(scanned.ordered, mode="drop")
        points = group_reconstruction.coded_points(scan, layout, scanned.counts, coded)
    arguments = (model, points, symbols.classes, symbols.first, STEP, transforms, LIMITS)
    return group_reconstruction.reconstruct(*arguments, SHAPE, "float32", interpret=True)


@pytest.mark.parametrize("n_quantizers", [1, 2])
@pytest.mark.parametrize("in_order", [False, True])
def test_kernels_reconstruct_the_volume_of_the_specification(n_quantizers: int, in_order: bool) -> None:
    model, layout = with_offsets(n_quantizers), layout_for(PADDED, VALID)
    symbols, transforms = random_symbols(layout, 9, 0, model), make_transforms()
    volume = by_kernels(model, layout, symbols, transforms, in_order=in_order)
    expected = by_stages(model, symbols, transforms)
    assert np.ptp(np.asarray(expected)) > 2
    np.testing.assert_allclose(volume, expected, rtol=0, atol=2e-5)


def decode_by_kernels(params: Params, encoded: EncodedStream) -> jax.Array:
    """Decode a volume as GPUs do, by kernels that are interpreted."""
    model = take_profile(params["entropy"], encoded.profile)
    padded = check_shape(tuple(-(-side // 8) * 8 for side in encoded.shape))
    layout = make_layout(grid_shape(padded, 8), encoded.valid_shape)
    scan = scan_order.make_scan_order(model, layout)
    coding = take_coding_tables(shared_frequencies(params["entropy"]), encoded.profile)
    loops = GROUP_LOOPS._make(partial(loop, interpret=True) for loop in GROUP_LOOPS)
    headers, *in_order = decode_in_order(loops, model, layout, scan, encoded.stream, coding)
    transforms = separable.make_axis_transforms(
        padded, encoded.valid_shape, encoded.transform, encoded.boundaries
    )
    first = accumulate_dc(headers.first.reshape(grid_shape(padded, 8)), encoded.predictor, transforms)
    points = group_reconstruction.coded_points(scan, layout, *in_order)
    return group_reconstruction.reconstruct(
        *(model, points, headers.classes, first.reshape(-1), encoded.step, transforms),
        *((encoded.minimum, encoded.maximum), encoded.shape, encoded.dtype),
        interpret=True,
    )


@pytest.mark.parametrize("n_chunks", [1, 4])  # fewer than there are profiles, and as many
def test_batches_are_decoded_as_their_chunks_are(codec: nvc_jax.Codec, n_chunks: int) -> None:
    z, y, x = np.indices((20, 16, 24))
    smooth = np.sin(z / 4) + np.cos(y / 5) * x / 10
    volumes = smooth[None] + np.random.default_rng(0).normal(0, 0.1, (n_chunks, *smooth.shape))
    steps = jnp.asarray([0.004, 0.02, 0.1, 0.5][:n_chunks], jnp.float32)
    encode = jax.jit(jax.vmap(lambda volume, step: nvc_jax.encode_volume(codec, volume, step=step)))
    encoded = encode(jnp.asarray(volumes, jnp.float32), steps)
    assert n_chunks == 1 or len(set(encoded.profile.tolist())) > 1
    decoded = jax.jit(jax.vmap(decode_by_kernels, (None, 0)))(codec.params, encoded)
    expected = jax.jit(jax.vmap(lambda encoded: nvc_jax.decode_volume(codec, encoded)))(encoded)
    np.testing.assert_allclose(decoded, expected, rtol=0, atol=1e-5)
