"""Block autoencoders: the models of *Neural Volume Compression* (the paper).

Each block of a volume passes alone through a network that turns it into a few numbers, its latents. Read
``config``, ``blocks`` and ``blending`` first (sizes of blocks, cutting, assembly), then ``networks`` with
``convolutions`` and ``arithmetic`` (precision of products), ``latent_stream`` (entropy coding of the
latents), ``encoded`` and ``codec`` (a volume to an encoded volume and back) with its forms ``slabs`` for
CPUs, ``whole_volume`` for GPUs, with the kernels ``group_first_layer`` and ``group_blend`` and their
``group_indices``, and for TPUs ``tile_layout``, with the kernels ``tile_kernels``, ``tile_range``
and, for blocks with margins, ``tile_window_encoder`` with ``tile_window_reader``, and ``tile_blend_decoder``
with ``tile_blending`` and ``tile_writer``. All these share ``tile_programs``, ``tile_operations``,
``tile_layers``, ``tile_integers``, ``tile_parameters`` and ``tile_windows``. Then come ``chunk_encoder`` and
``chunk_decoder`` (chunks of containers), and ``model``, which offers all this to the rest of the package.
The folder ``training`` trains them. The package imports ``core``, ``native``, ``io``, ``entropy``,
``training`` and ``chunks``; it knows neither spectral models nor containers.
"""

from typing import TYPE_CHECKING

from nvc_jax.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from nvc_jax.autoencoder.blocks import assemble_blocks, extract_blocks
    from nvc_jax.autoencoder.config import VARIANTS, ConvolutionalConfig, DenseConfig
    from nvc_jax.autoencoder.encoded import EncodedLatents, EncodedLatentStream
    from nvc_jax.autoencoder.model import AutoencoderModel
    from nvc_jax.autoencoder.networks import init_params

__all__ = [
    "VARIANTS",
    "AutoencoderModel",
    "ConvolutionalConfig",
    "DenseConfig",
    "EncodedLatentStream",
    "EncodedLatents",
    "assemble_blocks",
    "extract_blocks",
    "init_params",
]

_NAMES = {
    "blocks": "assemble_blocks extract_blocks",
    "config": "VARIANTS ConvolutionalConfig DenseConfig",
    "encoded": "EncodedLatents EncodedLatentStream",
    "model": "AutoencoderModel",
    "networks": "init_params",
}
"""Names that each module has."""

__getattr__, __dir__ = lazy_exports(__name__, _NAMES)
