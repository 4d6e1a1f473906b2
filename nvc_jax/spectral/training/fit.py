"""Fitting of a complete spectral model: the entropy model, and then the refinement."""

import numpy as np

from nvc_jax.core.parameters import Params
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.entropy_model import fit_profiles
from nvc_jax.spectral.training.refinement import fit_refinement
from nvc_jax.spectral.training.samples import BLOCKS_PER_VOLUME


def fit_spectral(
    volumes: list[np.ndarray],
    config: SpectralConfig,
    *,
    seed: int = 0,
    blocks_per_volume: int = BLOCKS_PER_VOLUME,
    refinement_steps: int | None = None,
    augment: bool = True,
) -> Params:
    """Fit a spectral model on volumes.

    Args:
        volumes: (z, y, x) each, of supported dtypes.
        config: number of profiles, classes, tables and quantisers.
        seed: the only source of randomness.
        blocks_per_volume: number of blocks of each volume to learn classes from, for each filter and size.
        refinement_steps: optimiser steps of the refinement; see ``fit_refinement``.
        augment: whether to mirror and transpose volumes for the refinement; see ``fit_refinement``.

    Returns:
        Parameters of the encoder and the decoder: ``entropy`` and ``refinement``.
    """
    profiles = fit_profiles(volumes, config, blocks_per_volume=blocks_per_volume, seed=seed)
    refinement = fit_refinement(profiles, volumes, seed=seed, n_steps=refinement_steps, augment=augment)
    return {"entropy": profiles, "refinement": refinement}
