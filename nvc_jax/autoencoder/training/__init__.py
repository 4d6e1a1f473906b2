"""Training of block autoencoders (paper, section 3).

Read ``settings`` first, then ``block_regions`` (training blocks from volumes) and ``blocks`` (the same in
memory), ``augmentation`` and ``loss`` (one batch), ``pace`` (steps of a dispatch, and the schedule), ``loop``
(optimiser steps) and ``config``, which joins them into the training that ``nvc_jax.train`` runs. This package
imports ``core``, ``io``, ``training`` and the autoencoders' own modules; it knows no containers and no other
kind of model.
"""

from typing import TYPE_CHECKING

from nvc_jax.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from nvc_jax.autoencoder.training.block_regions import BlockRegions
    from nvc_jax.autoencoder.training.blocks import BlockArray, load_blocks
    from nvc_jax.autoencoder.training.config import AutoencoderTraining
    from nvc_jax.autoencoder.training.loop import train_blocks
    from nvc_jax.autoencoder.training.settings import AutoencoderSettings

__all__ = [
    "AutoencoderSettings",
    "AutoencoderTraining",
    "BlockArray",
    "BlockRegions",
    "load_blocks",
    "train_blocks",
]

_NAMES = {
    "block_regions": "BlockRegions",
    "blocks": "BlockArray load_blocks",
    "config": "AutoencoderTraining",
    "loop": "train_blocks",
    "settings": "AutoencoderSettings",
}
"""Names that each module has."""

__getattr__, __dir__ = lazy_exports(__name__, _NAMES)
