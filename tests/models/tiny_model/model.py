"""Block-mean models behind the interface that all models share."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import tensorstore as ts
from jax.typing import ArrayLike

from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.volume_encoder import VolumeEncoder
from nvc_jax.core.chunk_interfaces import ChunkDecoder, ChunkEncoder, ChunkFormat, QualityTarget, ValueRange
from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.encoded_volume import EncodedVolume
from nvc_jax.core.model import Model
from nvc_jax.core.normalization import finite_range
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import padded_shape, spatial_shape
from tiny_model.coding import MAX_STEP, MIN_STEP, decode_means, encode_means
from tiny_model.config import BlockMeanConfig
from tiny_model.encoded import EncodedMeans
from tiny_model.transform_coder import BlockMeanCoder


class BlockMeanModel(Model[BlockMeanConfig]):
    """A block-mean model: every quality target, every dtype, chunks that decode alone."""

    encoded_types = (EncodedMeans,)
    quality_targets = frozenset(
        {"max_error", "relative_error", "pointwise_error", "psnr", "step", "lossless"}
    )
    default_target: ClassVar[QualityTarget] = {"step": 0.05}
    step_limits = (MIN_STEP, MAX_STEP)

    def abstract_params(self) -> Params:
        return {"pattern": jax.ShapeDtypeStruct((self.config.block_size,) * 3, jnp.float32)}

    def check_dtype(self, dtype: np.dtype, name: str = "volume") -> None:
        check_dtype(dtype, name)

    def check_step(self, step: ArrayLike | None) -> None:
        if step is None:
            raise ValueError("`step` is missing: block-mean models quantise")
        if not isinstance(step, jax.core.Tracer) and not MIN_STEP <= float(np.asarray(step)) <= MAX_STEP:
            raise ValueError(f"`step` (={step}) must lie between {MIN_STEP} and {MAX_STEP:g}")

    def encode(self, params: Params, volume: jax.Array, step: jax.Array | None) -> EncodedMeans:
        assert step is not None  # check_step has seen to it
        minimum, maximum = finite_range(volume)
        points = encode_means(volume, minimum, maximum, step, block_size=self.config.block_size)
        return EncodedMeans(
            points=points,
            step=step,
            minimum=minimum,
            maximum=maximum,
            shape=volume.shape,
            dtype=str(volume.dtype),
        )

    def decode(self, params: Params, encoded: EncodedVolume, mode: str) -> jax.Array:
        assert isinstance(encoded, EncodedMeans)  # models.codec has seen to it
        limits = (encoded.minimum, encoded.maximum, encoded.step)
        return decode_means(params, encoded.points, *limits, shape=encoded.shape, dtype=encoded.dtype)

    def chunk_encoder(
        self, params: Params, volume: ts.TensorStore, chunk: Shape, value_range: ValueRange
    ) -> ChunkEncoder:
        padded = padded_shape(spatial_shape(chunk, chunk), self.config.block_size)
        return VolumeEncoder(BlockMeanCoder(params, padded), volume, chunk, value_range, padded)

    def chunk_decoder(self, params: Params, chunk_format: ChunkFormat, mode: str) -> ChunkDecoder:
        whole, dtype, value_range = chunk_format.chunk, chunk_format.dtype, chunk_format.value_range
        padded = padded_shape(whole, self.config.block_size)
        return ChunkCodec(BlockMeanCoder(params, padded), padded, dtype, value_range, whole)
