"""Fitting of a complete spectral model: its entropy model."""

import numpy as np

from nvc_jax.core.parameters import Params
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.entropy_model import fit_profiles
from nvc_jax.spectral.training.samples import BLOCKS_PER_VOLUME


def fit_spectral(
    volumes: list[np.ndarray],
    config: SpectralConfig,
    *,
    seed: int = 0,
    blocks_per_volume: int = BLOCKS_PER_VOLUME,
) -> Params:
    """Fit a spectral model on volumes.

    Args:
        volumes: (z, y, x) each, of supported dtypes.
        config: number of profiles, classes, tables and quantisers.
        seed: the only source of randomness.
        blocks_per_volume: number of blocks of each chunk to learn classes from.

    Returns:
        Parameters of the encoder and the decoder: ``entropy``.
    """
    profiles = fit_profiles(volumes, config, blocks_per_volume=blocks_per_volume, seed=seed)
    return {"entropy": profiles}
