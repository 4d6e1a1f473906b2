"""Training of block autoencoders (paper, section 3).

Read ``settings`` first, then ``blocks`` (training blocks from volumes), ``augmentation`` and ``loss`` (one
batch), ``loop`` (optimiser steps, checkpoints, progress) and ``config``, which joins them into the training
that ``nvc_jax.train`` runs. This package imports ``core``, ``io``, ``training`` and the autoencoders' own
modules; it knows no containers and no other kind of model.
"""

from nvc_jax.autoencoder.training.blocks import BlockBatches, block_batches
from nvc_jax.autoencoder.training.config import AutoencoderTraining
from nvc_jax.autoencoder.training.loop import train_blocks
from nvc_jax.autoencoder.training.settings import AutoencoderSettings

__all__ = ["AutoencoderSettings", "AutoencoderTraining", "BlockBatches", "block_batches", "train_blocks"]
