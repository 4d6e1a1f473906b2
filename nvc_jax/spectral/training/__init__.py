"""Training of spectral models: the entropy model is fitted by counting.

Read ``fit`` first, then ``fitting`` (one fitting, step by step) and ``rounds`` (several, in limited time).
Below these are ``chunks`` (parts of volumes), ``samples`` (coefficients of random blocks), ``geometric``
(distributions of integers), ``clustering`` (classes and tables), ``symbol_counts`` (statistics of what the
encoder codes), ``context_tables`` (tables of integers by context), ``header_tables`` (the same of block
headers), and ``entropy_model``, which joins them.
``filter_samples`` (errors of decoded voxels) and ``post_filter`` fit the filter of models that have one.
``config`` offers all this to ``nvc_jax.train``; ``settings`` has numbers. This package runs the encoder of
``spectral`` and knows no containers and no other kind of model.
"""

from typing import TYPE_CHECKING

from nvc_jax.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from nvc_jax.spectral.training.config import SpectralTraining
    from nvc_jax.spectral.training.fit import fit_spectral, train_spectral

__all__ = ["SpectralTraining", "fit_spectral", "train_spectral"]

_NAMES = {"config": "SpectralTraining", "fit": "fit_spectral train_spectral"}
"""Names that each module has."""

__getattr__, __dir__ = lazy_exports(__name__, _NAMES)
