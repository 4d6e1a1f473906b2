"""Samples to fit the post-filter on: voxels of chunks that are coded at many steps, and their errors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.spectral import analysis, filter_setting, post_filter
from nvc_jax.spectral.dc_prediction import accumulate_dc
from nvc_jax.spectral.dequantization import dequantize
from nvc_jax.spectral.profiles import Profiles
from nvc_jax.spectral.training.chunks import ChunkGroup, ChunkLoader
from nvc_jax.training.mesh import map_over_devices, replicate
from nvc_jax.transform import separable
from nvc_jax.transform.block_layout import BLOCK_SIZE

_STEPS = tuple(np.geomspace(0.002, 1.3, 14).tolist())
"""Steps at which each chunk is coded: most volumes reach 30 and 60 dB between them."""
_VOXELS_PER_STEP = 8192
"""Voxels that are drawn of a chunk at each step, at most."""
_MOST_VOXELS = 1 << 21
"""Voxels that are drawn of all chunks, at most: 0.5 GiB of inputs."""
_EVEN_SHARE = 0.4
"""Share of the voxels that are drawn wherever they lie; the others are drawn the likelier the larger their
errors are."""


class FilterSamples(NamedTuple):
    """Voxels of chunks that were decoded without filter.

    Attributes:
        inputs: float32 (m, N_INPUTS), of the network.
        errors: float32 (m,), original less decoded, in units of the noise.
        weights: float32 (m,), number of voxels that each stands for, relative to the mean.
    """

    inputs: np.ndarray
    errors: np.ndarray
    weights: np.ndarray


def sample_voxels(profiles: Profiles, loader: ChunkLoader, *, seed: int) -> FilterSamples:
    """Sample voxels of all chunks, coded at many steps; the same in all processes.

    Args:
        profiles: of the model.
        loader: of the chunks.
        seed: the only source of randomness.
    """
    rng = np.random.default_rng(seed)
    n_voxels = min(_VOXELS_PER_STEP, max(1, _MOST_VOXELS // (len(_STEPS) * len(loader.chunks))))

    def sample(profiles: Profiles, *chunk: jax.Array) -> tuple[jax.Array, ...]:
        return _sample_chunk(profiles, n_voxels, *chunk)

    mapped = map_over_devices(loader.mesh, sample)
    shared = replicate(loader.mesh, jax.device_get(dict(profiles)))
    parts = []
    for group in loader.groups():
        starts = _draw_starts(rng, group)
        sampled = []
        for step, of_step in zip(_STEPS, starts, strict=True):
            numbers = group.share(np.full_like(of_step, step), of_step)
            sampled.append(jax.device_get(mapped(shared, (group.centered, group.valid_shapes, *numbers))))
        for i in range(len(group.numbers)):
            parts += [FilterSamples(*(leaf[i] for leaf in leaves)) for leaves in sampled]
    return FilterSamples(*map(np.concatenate, zip(*parts, strict=True)))


def _draw_starts(rng: np.random.Generator, group: ChunkGroup) -> np.ndarray:
    """Draw where sampling begins, float32 (steps, devices), whatever the number of devices."""
    starts = np.zeros((len(_STEPS), group.mesh.size), np.float32)
    for i in range(len(group.numbers)):
        starts[:, i] = rng.random(len(_STEPS))
    return starts


def _sample_chunk(
    profiles: Profiles,
    n_voxels: int,
    centered: jax.Array,
    valid_shape: jax.Array,
    step: jax.Array,
    start: jax.Array,
) -> tuple[jax.Array, ...]:
    """Code a chunk and sample its voxels: the fields of ``FilterSamples``."""
    shape = check_shape(centered.shape)
    decoded = _decode_coded(profiles, centered, valid_shape, step)
    level, errors = filter_setting.measure_noise(decoded, centered + 0.5, valid_shape)
    noise = filter_setting.to_unit(level)
    relative = errors / noise

    # Systematic sampling: a voxel is drawn by its share of the total.
    is_valid = filter_setting.valid_voxels(shape, valid_shape).astype(jnp.float32)
    even = is_valid / jnp.sum(is_valid)
    tiny = jnp.finfo(jnp.float32).tiny
    likely = jnp.abs(relative) / jnp.maximum(jnp.sum(jnp.abs(relative)), tiny)
    shares = (_EVEN_SHARE * even + (1 - _EVEN_SHARE) * likely).reshape(-1)
    reached = jnp.cumsum(shares)
    wanted = (jnp.arange(n_voxels, dtype=jnp.float32) + start) / n_voxels * reached[-1]
    drawn = jnp.minimum(jnp.searchsorted(reached, wanted).astype(jnp.int32), shares.size - 1)

    voxels = jnp.stack(jnp.unravel_index(drawn, shape), axis=1).astype(jnp.int32)
    surroundings = post_filter.find_surroundings(decoded, valid_shape)
    inputs = post_filter.read_inputs(surroundings, voxels, noise, step)
    weights = even.reshape(-1)[drawn] / jnp.maximum(shares[drawn], tiny)
    return inputs.T, relative.reshape(-1)[drawn], weights


def _decode_coded(
    profiles: Profiles, centered: jax.Array, valid_shape: jax.Array, step: jax.Array
) -> jax.Array:
    """Code a chunk without the entropy coding, and decode it: float32 in units of the range."""
    transform = analysis.decide_shape(profiles, centered, step, valid_shape).shape
    volume = analysis.ShapedVolume(centered, step, valid_shape, jnp.int32(0), transform)
    analyzed = analysis.analyze(profiles, volume)
    axes = volume.make_axes()
    differences = analyzed.symbols.first.reshape(grid_shape(volume.shape, BLOCK_SIZE))
    first = accumulate_dc(differences, analyzed.predictor, axes).reshape(-1)
    coefficients = dequantize(analyzed.model, analyzed.symbols, first, step)
    return jnp.clip(separable.inverse(coefficients, axes) + 0.5, 0, 1)
