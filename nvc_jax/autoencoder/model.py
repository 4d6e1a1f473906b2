"""Block autoencoders behind the interface that all models share."""

from typing import ClassVar

import jax
import numpy as np
import tensorstore as ts
from jax.typing import ArrayLike

from nvc_jax.autoencoder import codec, networks
from nvc_jax.autoencoder.arithmetic import precision_in_memory
from nvc_jax.autoencoder.chunk_decoder import LatentsChunkDecoder
from nvc_jax.autoencoder.chunk_encoder import LatentsChunkEncoder
from nvc_jax.autoencoder.encoded import EncodedLatents, EncodedLatentStream, check_encoded
from nvc_jax.autoencoder.latent_stream import STEP_LIMITS
from nvc_jax.core.chunk_interfaces import ChunkDecoder, ChunkEncoder, ChunkFormat, QualityTarget, ValueRange
from nvc_jax.core.dtypes import check_device_dtype
from nvc_jax.core.encoded_volume import EncodedVolume
from nvc_jax.core.model import Model, ModelConfig
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape, grid_shape


class AutoencoderModel(Model[ModelConfig]):
    """A block autoencoder: latents as float32 or quantised; no error bounds, device dtypes only."""

    encoded_types = (EncodedLatents, EncodedLatentStream)
    quality_targets = frozenset({"psnr", "step"})
    default_target: ClassVar[QualityTarget] = {"latents": True}
    step_limits = STEP_LIMITS

    def abstract_params(self) -> Params:
        """Nested dict of the network's shapes and dtypes."""
        return networks.abstract_params(self.config)

    def check_dtype(self, dtype: np.dtype, name: str = "volume") -> None:
        """Raise ``TypeError`` unless float32 holds every value of ``dtype``."""
        check_device_dtype(dtype, name)

    def check_step(self, step: ArrayLike | None) -> None:
        """Raise ``ValueError`` unless ``step`` is missing or within the limits."""
        if step is None or isinstance(step, jax.core.Tracer):
            return
        smallest, largest = STEP_LIMITS
        if not smallest <= float(np.asarray(step)) <= largest:
            raise ValueError(
                f"`step` (={step}) must lie between {smallest} and {largest:g}, in the unit of the latents"
            )

    def encode(
        self, params: Params, volume: jax.Array, step: jax.Array | None
    ) -> EncodedLatents | EncodedLatentStream:
        """Encode a volume as one compiled program."""
        return codec.encode_blocks(self.config, params, volume, step, precision=precision_in_memory())

    def decode(self, params: Params, encoded: EncodedVolume, mode: str) -> jax.Array:
        """Decode a volume as one compiled program; see ``Model.decode``."""
        assert isinstance(encoded, EncodedLatents | EncodedLatentStream)  # models.codec has seen to it
        grid = grid_shape(encoded.shape, self.config.block_size)
        check_encoded(encoded, grid, self.config.latent_dim)
        used_mode = mode if self.config.margin else "crop"
        return codec.decode_blocks(self.config, params, encoded, used_mode, precision=precision_in_memory())

    def chunk_encoder(
        self, params: Params, volume: ts.TensorStore, chunk: Shape, value_range: ValueRange
    ) -> ChunkEncoder:
        """Make an encoder of a volume's chunks."""
        return LatentsChunkEncoder(self.config, params, volume, chunk, value_range)

    def chunk_decoder(self, params: Params, chunk_format: ChunkFormat, mode: str) -> ChunkDecoder:
        """Make a decoder of chunks; ``ValueError`` where the format's step is not one of this model's."""
        self.check_step(chunk_format.step)
        return LatentsChunkDecoder(self.config, params, chunk_format, mode)
