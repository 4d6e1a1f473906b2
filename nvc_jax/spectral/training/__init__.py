"""Training of spectral models: the entropy model is fitted by counting.

Read ``fit`` first, then ``samples`` (coefficients of random blocks), ``geometric`` (distributions of
integers), ``clustering`` (classes and tables), ``symbol_counts`` (statistics of what the encoder codes), and
``entropy_model``, which joins them. ``config`` offers all this to ``nvc_jax.train``. This package runs the
encoder of ``spectral`` and knows no containers and no other kind of model.
"""

from nvc_jax.spectral.training.config import SpectralTraining
from nvc_jax.spectral.training.entropy_model import fit_profiles
from nvc_jax.spectral.training.fit import fit_spectral

__all__ = ["SpectralTraining", "fit_profiles", "fit_spectral"]
