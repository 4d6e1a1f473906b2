"""Clustering by Lloyd's algorithm in bits: blocks into classes, and distributions into tables.

Two steps alternate. Every item goes to the cluster that codes it in the fewest bits; every cluster takes the
distributions of its items. Both steps lower the bits of all items, so the algorithm converges.
"""

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.spectral.entropy_model import weights_of_features
from nvc_jax.spectral.training.geometric import distribution_bits, fit_distributions
from nvc_jax.spectral.training.samples import estimate_block_bits

_CLASS_ROUNDS = 20
"""Rounds of the clustering of blocks.
No measurement of the value is on record."""
_TABLE_ROUNDS = 40
"""Rounds of the clustering of distributions.
No measurement of the value is on record."""


def integer_features(integers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute [magnitude > 0] and the magnitude of integers, float32: bits are linear in both."""
    magnitude = np.abs(integers).astype(np.float32)
    return np.minimum(magnitude, 1), magnitude


def _cheapest(features: jax.Array, bits: np.ndarray, signalling_bits: np.ndarray) -> np.ndarray:
    """Find the cheapest class of each block.

    Args:
        features: float32 (n, 2·D), from ``integer_features``, side by side.
        bits: float32 (K, D, 3), from ``distribution_bits``.
        signalling_bits: float32 (K,), of each class.

    Returns:
        int (n,).
    """
    zero, one, further = np.moveaxis(bits, -1, 0)
    weights = np.concatenate(weights_of_features(zero, one, further), axis=1)
    costs = features @ jnp.asarray(weights.T) + (zero.sum(1) + signalling_bits)[None]
    return np.asarray(jnp.argmin(costs, axis=1))


def cluster_blocks(integers: np.ndarray, n_classes: int) -> np.ndarray:
    """Cluster blocks into classes.

    Args:
        integers: (n, D).
        n_classes: number of classes.

    Returns:
        int (n,), the class of each block; classes are ordered from low to high energy.
    """
    nonzero, magnitude = integer_features(integers)
    features = jnp.concatenate([jnp.asarray(nonzero), jnp.asarray(magnitude)], axis=1)
    energy = estimate_block_bits(magnitude)
    classes = np.argsort(np.argsort(energy, kind="stable"), kind="stable") * n_classes // len(energy)
    for _ in range(_CLASS_ROUNDS):
        member = np.eye(n_classes, dtype=np.float32)[classes]
        counts = member.sum(axis=0)
        sums = np.asarray(jnp.asarray(member.T) @ features)
        p_nonzero, decay = fit_distributions(counts[:, None], *np.split(sums, 2, axis=1))
        signalling_bits = -np.log2((counts + 1) / len(classes))
        classes = _cheapest(features, distribution_bits(p_nonzero, decay), signalling_bits.astype(np.float32))
    sizes = np.bincount(classes, minlength=n_classes)
    mean_energy = np.bincount(classes, energy, n_classes) / np.maximum(sizes, 1)
    return np.argsort(np.argsort(mean_energy))[classes]


def merge_distributions(
    counts: np.ndarray, nonzero: np.ndarray, magnitudes: np.ndarray, n_tables: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge distributions, given by their sums (see ``fit_distributions``), into a few tables.

    Args:
        counts: (P,), number of integers of each distribution.
        nonzero: (P,), number of integers that are not zero.
        magnitudes: (P,), sum of the magnitudes.
        n_tables: number of tables.

    Returns:
        int (P,) table of each distribution, and (n_tables,) the tables' probability of not zero and decay.
    """
    p_nonzero, _ = fit_distributions(counts, nonzero, magnitudes)
    mean = magnitudes / np.maximum(counts, 1)
    tables = np.argsort(np.argsort(p_nonzero + mean)) * n_tables // len(mean)
    for _ in range(_TABLE_ROUNDS):
        sums = [np.bincount(tables, x, n_tables) for x in (counts, nonzero, magnitudes)]
        table_p_nonzero, decay = fit_distributions(*sums)
        zero, one, further = distribution_bits(table_p_nonzero, decay).T
        of_nonzero, of_magnitude = weights_of_features(zero, one, further)
        cost = counts[:, None] * zero + nonzero[:, None] * of_nonzero + magnitudes[:, None] * of_magnitude
        tables = cost.argmin(axis=1)
    return tables, table_p_nonzero, decay
