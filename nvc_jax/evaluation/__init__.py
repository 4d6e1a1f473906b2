"""Quality measures of decoded volumes, reports on containers, and pictures of both.

Read `metrics` first: measures of a decoded array against its original, based on the `volume_errors` of one
pass. `containers` applies them to a container on disk: `info` reports its metadata and size, `evaluate` its
quality, `verify` its integrity by `chunk_checks`, and `preview` decodes it coarsely. `rendering` turns a
volume into a picture, and `figures` writes pictures as PNG files, as `learning_curve` does for losses.
`system` describes the machine that all of this runs on. This package reads containers and never writes them;
it knows nothing of models, training or the command line.
"""

from nvc_jax.evaluation.containers import evaluate, info, preview, verify
from nvc_jax.evaluation.figures import save_panels
from nvc_jax.evaluation.metrics import (
    bits_per_voxel,
    border_jump,
    max_error,
    mse,
    psnr_db,
    quality,
    ssim,
)
from nvc_jax.evaluation.rendering import render

__all__ = [
    "bits_per_voxel",
    "border_jump",
    "evaluate",
    "info",
    "max_error",
    "mse",
    "preview",
    "psnr_db",
    "quality",
    "render",
    "save_panels",
    "ssim",
    "verify",
]
