"""Spectral models behind the interface that all models share."""

from typing import ClassVar

import jax
import numpy as np
import tensorstore as ts
from jax.typing import ArrayLike

from nvc_jax.chunks.step_codec import make_payload_codec
from nvc_jax.chunks.volume_encoder import VolumeEncoder
from nvc_jax.core.chunk_interfaces import ChunkDecoder, ChunkEncoder, ChunkFormat, QualityTarget, ValueRange
from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.encoded_volume import EncodedVolume
from nvc_jax.core.model import Model
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import count_steps, padded_shape, spatial_shape
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.encoded_stream import MAX_STEP, MIN_STEP, EncodedStream
from nvc_jax.spectral.entropy_model import abstract_entropy_model
from nvc_jax.spectral.post_filter import abstract_filter
from nvc_jax.spectral.profiles import stack_profiles
from nvc_jax.spectral.transform_coder import SpectralTransformCoder
from nvc_jax.spectral.volume_survey import survey

DEFAULT_RELATIVE_ERROR = 1e-3
"""Largest error of any voxel, relative to the range, where the user names no quality target: no plot of the
volume shows it, and integers of 8 bits come back exactly."""


class SpectralModel(Model[SpectralConfig]):
    """A spectral model: every quality target, every dtype, chunks that decode alone."""

    encoded_types = (EncodedStream,)
    quality_targets = frozenset(
        {"max_error", "relative_error", "pointwise_error", "psnr", "step", "lossless"}
    )
    default_target: ClassVar[QualityTarget] = {"relative_error": DEFAULT_RELATIVE_ERROR}
    step_limits = (MIN_STEP, MAX_STEP)
    takes_steps = True

    def abstract_params(self) -> Params:
        """Nested dict of the parameters' shapes and dtypes: ``entropy``, and ``filter`` if there is one."""
        config = self.config
        profile = abstract_entropy_model(
            *(config.latent_dim, config.n_classes, config.n_tables),
            *(config.n_quantizers, config.n_contexts, config.n_header_contexts),
        )
        entropy = jax.eval_shape(lambda model: stack_profiles([model] * config.n_profiles), profile)
        return {"entropy": entropy, **abstract_filter(config.n_filter_units)}

    def check_dtype(self, dtype: np.dtype, name: str = "volume") -> None:
        """Raise ``TypeError`` unless ``dtype`` is supported."""
        check_dtype(dtype, name)

    def check_step(self, step: ArrayLike | None) -> None:
        """Raise ``ValueError`` unless ``step`` is given and within the limits."""
        if step is None:
            raise ValueError("`step` is missing: spectral models quantise, for instance with step=0.01")
        if isinstance(step, jax.core.Tracer):
            return
        if not MIN_STEP <= float(np.asarray(step)) <= MAX_STEP:
            raise ValueError(
                f"`step` (={step}) must lie between {MIN_STEP} and {MAX_STEP:g}, relative to the range; "
                "for a closer copy, give a `max_error` or `lossless`"
            )

    def encode(self, params: Params, volume: jax.Array, step: jax.Array | None) -> EncodedStream:
        """Encode a volume as one compiled program."""
        assert step is not None  # check_step has seen to it
        return encode_by_own_range(params, volume, step)

    def decode(self, params: Params, encoded: EncodedVolume, mode: str) -> jax.Array:
        """Decode a volume as one compiled program; blocks have no margins, so ``mode`` changes nothing."""
        return decoder.decode(params, encoded)

    def chunk_encoder(
        self, params: Params, volume: ts.TensorStore, chunk: Shape, value_range: ValueRange
    ) -> ChunkEncoder:
        """Make an encoder of a volume's chunks."""
        is_whole = all(side <= whole for side, whole in zip(volume.shape, chunk, strict=True))
        is_lone = is_whole and count_steps(chunk, chunk) == 1
        padded = padded_shape(spatial_shape(chunk, chunk), self.config.block_size)
        coder = SpectralTransformCoder(params, padded, is_lone=is_lone)
        return VolumeEncoder(coder, volume, chunk, value_range, padded)

    def chunk_decoder(self, params: Params, chunk_format: ChunkFormat, mode: str) -> ChunkDecoder:
        """Make a decoder of chunks."""
        whole, dtype, value_range = chunk_format.chunk, chunk_format.dtype, chunk_format.value_range
        padded = padded_shape(whole, self.config.block_size)
        coder = SpectralTransformCoder(params, padded)
        return make_payload_codec(coder, padded, dtype, value_range, whole, chunk_format.n_steps)


@jax.jit
def encode_by_own_range(params: Params, volume: jax.Array, step: jax.Array) -> EncodedStream:
    """Encode a volume scaled by its own finite range.

    Args:
        params: of a spectral model.
        volume: (z, y, x), a device dtype.
        step: float32, relative to the range.
    """
    limits, block_sums = survey(volume)
    return encoder.encode(params, volume, *limits, step, block_sums=block_sums)
