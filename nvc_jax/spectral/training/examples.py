"""Training examples of the refinement: decoded coefficients of cubes of volumes, and their errors."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.normalization import finite_range
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral.entropy_model import bits_per_squared_step, steps_of_single_quantizer
from nvc_jax.spectral.profiles import Profiles, any_profile, classes_of_all_profiles
from nvc_jax.spectral.refinement import refinement_features
from nvc_jax.spectral.training.samples import step_at
from nvc_jax.transform import block_modes
from nvc_jax.transform.planar_blocks import BLOCK_SIZE

_CUBE_SIDE = 64
"""Largest side of a cube in voxels."""
_ALIGNMENT = 16
"""Voxels in whose multiples cubes begin: the side of a superblock."""
_MAX_TARGET = 2.0
"""Largest error, in steps, to learn from: rare larger ones would outweigh all others."""
_BITS_FLOOR = 8.0
"""Bits that are added to the mean bits of a cube's blocks: cubes of low energy would weigh too much, but
their bits are mostly those of DC and classes."""


class Examples(NamedTuple):
    """Blocks to learn from.

    Attributes:
        features: float16 (n, N_FEATURES), inputs of the network.
        targets: float16 (n, D), errors of the decoded coefficients in steps.
        classes: int32 (n,), among those of all profiles.
        filter_modes: int32 (n,), (filter, mode) pairs.
        weights: float32 (n,), worth of a squared error of one step in bits, relative to the mean bits of a
            block of the same cube.
    """

    features: jax.Array
    targets: jax.Array
    classes: jax.Array
    filter_modes: jax.Array
    weights: jax.Array


class ObservedBlocks(NamedTuple):
    """Blocks of a volume as the decoder knows them, and their errors.

    Attributes:
        values: float32 (n, D), decoded coefficients in steps.
        errors: float32 (n, D), the coefficients less the decoded ones, in steps.
        classes: int32 (n,), among those of all profiles.
        filter_modes: int32 (n,), (filter, mode) pairs.
        estimated_bits: float32, of the volume without DC.
    """

    values: jax.Array
    errors: jax.Array
    classes: jax.Array
    filter_modes: jax.Array
    estimated_bits: jax.Array


@jax.jit
def observe_blocks(
    profiles: Profiles, volume: jax.Array, minimum: jax.Array, maximum: jax.Array, step: jax.Array
) -> ObservedBlocks:
    """Encode and decode a volume, without entropy coding and refinement.

    Arguments are those of ``encoder.encode``.
    """
    centered = encoder.center_volume(volume, minimum, maximum)
    analysis = encoder.analyze(profiles, centered, step, jnp.array(volume.shape, jnp.int32), jnp.int32(0))
    grid = grid_shape(check_shape(centered.shape), BLOCK_SIZE)
    values = decoder.dequantize(analysis.model, analysis.symbols, grid, analysis.predictor)
    filter_modes = block_modes.filter_mode_index(analysis.filter_index, analysis.symbols.modes)
    classes = classes_of_all_profiles(analysis.model, analysis.profile, analysis.symbols.classes)
    return ObservedBlocks(values, analysis.values - values, classes, filter_modes, analysis.estimated_bits)


@functools.partial(jax.jit, static_argnums=2)
def make_examples(observed: ObservedBlocks, profiles: Profiles, grid: Shape3) -> Examples:
    """Make examples of the blocks of one cube, whose grid has ``grid`` blocks along z, y, x."""
    n, error_weight = len(observed.classes), bits_per_squared_step(any_profile(profiles))
    return Examples(
        features=refinement_features(observed.values, profiles["order"], grid).astype(jnp.float16),
        targets=jnp.clip(observed.errors, -_MAX_TARGET, _MAX_TARGET).astype(jnp.float16),
        classes=observed.classes,
        filter_modes=observed.filter_modes,
        weights=jnp.full(n, error_weight / (observed.estimated_bits / n + _BITS_FLOOR)),
    )


def _draw_cube(volume: np.ndarray, augment: bool, rng: np.random.Generator) -> np.ndarray:
    """Draw a cube of a volume, and mirror and transpose it at random if ``augment``, keeping its shape."""
    sides = [min(side, _CUBE_SIDE) for side in volume.shape]
    corners = [
        rng.integers((a - b) // _ALIGNMENT + 1) * _ALIGNMENT for a, b in zip(volume.shape, sides, strict=True)
    ]
    cube = volume[tuple(slice(a, a + b) for a, b in zip(corners, sides, strict=True))]
    if augment:
        cube = cube[tuple(slice(None, None, sign) for sign in rng.choice((-1, 1), 3))]
        transposed = cube.transpose(rng.permutation(3))
        cube = transposed if transposed.shape == cube.shape else cube
    return np.ascontiguousarray(cube)


def collect_examples(
    profiles: Profiles,
    volumes: list[np.ndarray],
    cubes_per_volume: int,
    augment: bool,
    rng: np.random.Generator,
) -> list[Examples]:
    """Collect examples of volumes at steps spread over ``samples.STEP_RANGE``.

    Args:
        profiles: of the model.
        volumes: (z, y, x) each, of supported dtypes.
        cubes_per_volume: number of cubes of each volume, each at another step.
        augment: whether to mirror and transpose cubes.
        rng: source of randomness.

    Returns:
        Examples of each volume, on the host.
    """
    single_steps = steps_of_single_quantizer(any_profile(profiles))
    collected = []
    for volume in volumes:
        limits = finite_range(jnp.asarray(volume))
        parts = []
        for i in range(cubes_per_volume):
            step = step_at((i + rng.random()) / cubes_per_volume)
            cube = _draw_cube(volume, augment, rng)
            observed = observe_blocks(profiles, jnp.asarray(cube), *limits, jnp.float32(step * single_steps))
            grid = grid_shape(check_shape(cube.shape), BLOCK_SIZE)
            parts.append(jax.device_get(make_examples(observed, profiles, grid)))
        collected.append(jax.tree.map(lambda *x: np.concatenate(x), *parts))
    return collected
