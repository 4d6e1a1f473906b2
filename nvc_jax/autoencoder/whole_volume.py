"""Coding of volumes at once: the form of accelerators, in few kernels that move few bytes.

Blocks of a whole volume are cut, encoded, decoded and assembled together. Compilers make one kernel of a cut
and one of a blended assembly, because these are elementwise but for their indices. The steps are those of
``blocks`` and ``blending``, and so are the values, up to the order of sums in matrix products.
"""

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.autoencoder.blending import blend_axis
from nvc_jax.autoencoder.blocks import gather_blocks, pad_to_grid
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.group_blend import blend, can_blend
from nvc_jax.autoencoder.group_first_layer import can_multiply, multiply
from nvc_jax.autoencoder.networks import BlockAutoencoder, DenseAutoencoder
from nvc_jax.autoencoder.slabs import decode_layers
from nvc_jax.core.normalization import denormalize, normalize
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape

MEMORY_FACTOR = 4
"""Memory that decoded blocks with their margins may take, relative to the volume in float32."""


def encode(
    model: BlockAutoencoder,
    volume: jax.Array,
    minimum: jax.Array,
    maximum: jax.Array,
    *,
    has_kernels: bool = False,
) -> jax.Array:
    """Encode a volume by its finite range: float32 (grid_z, grid_y, grid_x, latent_dim).

    Args:
        model: with its parameters.
        volume: (z, y, x), a device dtype.
        minimum: of the range, float32.
        maximum: likewise.
        has_kernels: whether the device is a GPU of NVIDIA that runs kernels.
    """
    b, m = model.config.block_size, model.config.margin
    grid = grid_shape(check_shape(volume.shape), b)
    if has_kernels and model.arithmetic.is_half and isinstance(model, DenseAutoencoder):
        kernel = model.encoder[0].kernel[...]
        if can_multiply(volume, kernel.shape[-1], b):
            products = multiply(volume, (minimum, maximum), kernel, b, m)
            return model.encode_products(products)[0].reshape(*grid, -1)
    padded = pad_to_grid(volume, grid, b, m, fill=minimum)
    blocks = normalize(gather_blocks(padded, b, m), minimum, maximum)
    return model.encode(model.arithmetic.keep(blocks))[0].reshape(*grid, -1)


def decode(
    model: BlockAutoencoder, encoded: EncodedLatents, mode: str, *, has_kernels: bool = False
) -> jax.Array:
    """Decode a volume, cropped or blended, the latter by a kernel of GPUs of NVIDIA if there is one."""
    if mode == "blend" and not fits(model):
        return decode_layers(model, encoded)
    grid = check_shape(encoded.latents.shape[:3])
    latents = encoded.latents.reshape(-1, encoded.latents.shape[-1])
    blocks = model.decode(latents) if mode == "blend" else model.decode_core(latents)
    blocks = model.arithmetic.keep(blocks).reshape(*grid, *blocks.shape[1:])
    margin = model.config.margin if mode == "blend" else 0
    limits = (encoded.minimum, encoded.maximum)
    if has_kernels and margin and can_blend(blocks, model.config.block_size, margin, encoded.shape):
        return blend(blocks, limits, margin, encoded.shape, encoded.dtype)
    return assemble(blocks, limits, margin, encoded.shape, encoded.dtype)


def assemble(
    blocks: jax.Array, limits: tuple[jax.Array, jax.Array], margin: int, shape: Shape3, dtype: str
) -> jax.Array:
    """Assemble a volume from blocks in [0, 1], blend them where they overlap, and restore the range.

    Args:
        blocks: (grid_z, grid_y, grid_x, side, side, side), float16 or float32.
        limits: minimum and maximum of the range, float32.
        margin: width of the blocks' margins in voxels.
        shape: of the volume.
        dtype: of the volume, a device dtype.
    """
    blocks = blocks.astype(jnp.float32)
    for axis in (2, 1, 0) if margin else ():
        blocks = blend_axis(blocks, margin, grid_axis=axis, voxel_axis=axis + 3)
    values = lax.transpose(denormalize(blocks, *limits, dtype), (0, 3, 1, 4, 2, 5))
    n_z, b, n_y, _, n_x, _ = values.shape
    volume = values.reshape(n_z * b, n_y * b, n_x * b)
    return volume[: shape[0], : shape[1], : shape[2]]


def fits(model: BlockAutoencoder) -> bool:
    """Tell whether all decoded blocks with their margins may be in memory at a time."""
    share = 0.5 if model.arithmetic.is_half else 1.0
    return share * (model.config.side / model.config.block_size) ** 3 <= MEMORY_FACTOR
