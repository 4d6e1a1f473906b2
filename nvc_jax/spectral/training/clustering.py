"""Clustering by Lloyd's algorithm in bits: blocks into classes, and distributions into tables.

Two steps alternate. Every item goes to the cluster that codes it in the fewest bits; every cluster takes the
distributions of its items. Both steps lower the bits of all items, so the algorithm converges.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from nvc_jax.spectral.entropy_model import weights_of_features
from nvc_jax.spectral.training.geometric import distribution_bits, fit_distributions
from nvc_jax.spectral.training.samples import estimate_block_bits
from nvc_jax.training.mesh import divide_rows, replicate

_CLASS_ROUNDS = 20
"""Rounds of the clustering of blocks. Three times as many, and twice as many of quantising and fitting, took
0.0 and 0.4 % fewer bits on later steps of two series, in three to six times the time."""
_TABLE_ROUNDS = 40
"""Rounds of the clustering of distributions.
No measurement of the value is on record."""


def integer_features(integers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute [magnitude > 0] and the magnitude of integers, float32: bits are linear in both."""
    magnitude = np.abs(integers).astype(np.float32)
    return np.minimum(magnitude, 1), magnitude


@jax.jit
def _choose_cheapest(
    features: jax.Array, weights: jax.Array, offsets: jax.Array, n_valid: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Find the cheapest class of each block.

    Args:
        features: float32 (n, 2·D), from ``integer_features``, side by side.
        weights: float32 (K, 2·D), bits that each feature adds.
        offsets: float32 (K,), bits of a block of zeros, and of its class.
        n_valid: blocks that count.

    Returns:
        int32 (n,), and the mean bits of a block.
    """
    costs = features @ weights.T + offsets[None]
    is_valid = jnp.arange(features.shape[0]) < n_valid
    bits = jnp.sum(jnp.where(is_valid, jnp.min(costs, axis=1), 0)) / n_valid
    return jnp.argmin(costs, axis=1).astype(jnp.int32), bits


@functools.partial(jax.jit, static_argnums=3)
def _sum_by_class(
    features: jax.Array, classes: jax.Array, n_valid: jax.Array, n_classes: int
) -> tuple[jax.Array, jax.Array]:
    """Sum the features of the blocks of each class, float32 (K, 2·D), and count its blocks, float32 (K,)."""
    is_valid = jnp.arange(features.shape[0]) < n_valid
    member = jax.nn.one_hot(classes, n_classes, dtype=jnp.float32) * is_valid[:, None].astype(jnp.float32)
    return member.T @ features, member.sum(axis=0)


def cluster_blocks(integers: np.ndarray, n_classes: int, mesh: Mesh) -> tuple[np.ndarray, float]:
    """Cluster blocks into classes.

    Args:
        integers: (n, D), the same in all processes.
        n_classes: number of classes.
        mesh: devices, each of which takes a part of the blocks.

    Returns:
        int (n,), the class of each block, ordered from low to high energy; and the mean bits of a block with
        its class, by the distributions that these classes were chosen by.
    """
    nonzero, magnitude = integer_features(integers)
    features = divide_rows(mesh, np.concatenate([nonzero, magnitude], axis=1))
    energy = estimate_block_bits(magnitude)
    n_blocks = len(energy)
    first = np.argsort(np.argsort(energy, kind="stable"), kind="stable") * n_classes // n_blocks
    classes = divide_rows(mesh, first.astype(np.int32))
    for _ in range(_CLASS_ROUNDS):
        sums, counts = (np.asarray(x) for x in _sum_by_class(features, classes, n_blocks, n_classes))
        p_nonzero, decay = fit_distributions(counts[:, None], *np.split(sums, 2, axis=1))
        zero, one, further = np.moveaxis(distribution_bits(p_nonzero, decay), -1, 0)
        weights = np.concatenate(weights_of_features(zero, one, further), axis=1)
        offsets = zero.sum(1) - np.log2((counts + 1) / n_blocks).astype(np.float32)
        classes, bits = _choose_cheapest(features, *replicate(mesh, (weights, offsets)), n_blocks)
    found = np.asarray(replicate(mesh, classes))[:n_blocks]
    sizes = np.bincount(found, minlength=n_classes)
    mean_energy = np.bincount(found, energy, n_classes) / np.maximum(sizes, 1)
    return np.argsort(np.argsort(mean_energy))[found], float(bits)


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
    # Distributions with the same sums, as many rare coefficients have them, have the same table.
    distinct, which = np.unique(np.stack([counts, nonzero, magnitudes]), axis=1, return_inverse=True)
    for _ in range(_TABLE_ROUNDS):
        sums = [np.bincount(tables, x, n_tables) for x in (counts, nonzero, magnitudes)]
        table_p_nonzero, decay = fit_distributions(*sums)
        zero, one, further = distribution_bits(table_p_nonzero, decay).T
        of_nonzero, of_magnitude = weights_of_features(zero, one, further)
        weights = (zero, of_nonzero, of_magnitude)
        first, second, third = (x[:, None] * weight for x, weight in zip(distinct, weights, strict=True))
        tables = (first + second + third).argmin(axis=1)[which]
    return tables, table_p_nonzero, decay
