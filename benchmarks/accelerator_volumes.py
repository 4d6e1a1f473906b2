"""The volume of the benchmarks of accelerators, made of the demo's, and the step that gives it a PSNR.

Nothing but NumPy reads it, so a machine needs no library of file formats.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nvc_jax

SAMPLE = Path(nvc_jax.__file__).parent / "cli" / "sample.npz"
"""Vorticity magnitude of turbulence, 96³ uint8: the volume of ``nvc demo``."""


_NOISE_VALUES = (1 << 20) + 7
"""Values of noise, which repeat: more would take longer to draw than a large volume takes to encode."""


@functools.lru_cache(maxsize=1)
def turbulence(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Make a float32 volume in [0, 1]: the sample, mirrored and varied in strength, and some noise."""
    with np.load(SAMPLE) as archive:
        sample = archive["volume"].astype(np.float32) / 255
    index = [
        np.arange(seed * 37, seed * 37 + side) % (2 * n) for side, n in zip(shape, sample.shape, strict=True)
    ]
    folded = [np.minimum(i, 2 * n - 1 - i) for i, n in zip(index, sample.shape, strict=True)]
    strength = 0.75 + 0.25 * np.sin(np.arange(shape[0], dtype=np.float32) / 31)
    noise = np.random.default_rng(seed).normal(0, 1e-3, _NOISE_VALUES).astype(np.float32)
    return np.clip(sample[np.ix_(*folded)] * strength[:, None, None] + np.resize(noise, shape), 0, 1)


def psnr(volume: np.ndarray, decoded: np.ndarray) -> float:
    """Peak signal-to-noise ratio relative to the volume's range, in dB."""
    error = np.mean((volume.astype(np.float64) - decoded) ** 2)
    return float(20 * np.log10(np.ptp(volume.astype(np.float64))) - 10 * np.log10(error))


def step_for_psnr(code: Callable[[float], Any], volume: np.ndarray, psnr_db: float) -> float:
    """Find a step that decodes a volume within 0.05 dB of a PSNR, or the last of twelve tries.

    Args:
        code: encodes and decodes the volume with a step.
        volume: as it is.
        psnr_db: wanted.
    """
    low, high = 2.0**-12, 1.0
    step = 0.02
    for _ in range(12):
        reached = psnr(volume, np.asarray(code(step)))
        if abs(reached - psnr_db) < 0.05:
            break
        low, high = (step, high) if reached > psnr_db else (low, step)
        step = float(np.sqrt(low * high))
    return step
