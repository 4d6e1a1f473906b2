"""Small volumes of one kind, for models that are trained in a test."""

import numpy as np

SIDE = 32


def fronts(seed: int) -> np.ndarray:
    """Parallel steps, shifted at random, float32: a block's neighbours tell where in it a step is."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices((SIDE,) * 3)
    waves = np.sin((x + 0.5 * z + 0.2 * y) * 0.4 + rng.uniform(0, 2 * np.pi))
    return (np.tanh(6 * waves) + rng.normal(0, 0.02, waves.shape)).astype(np.float32)
