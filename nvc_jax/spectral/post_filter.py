"""The post-filter: decoded voxels are moved towards the original, by a small network that a model may have.

A network sees each voxel's surroundings and estimates the error that quantisation has left there. It is
fitted to volumes of one series, where it knows what edges, layers and flat parts look like; shipped models
have none. Its inputs are differences in units of the *noise*, the error of the whole chunk, which the stream
states (see ``filter_setting``). So one network serves all rates.
"""

import itertools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import check_shape
from nvc_jax.native.dispatch import on_cpu
from nvc_jax.spectral import native_filter

Network = Mapping[str, jax.Array]
"""Parameters of a network of F inputs and two layers of n units each: ``first_weights`` float32 (n, F),
``first_biases`` (n,), ``second_weights`` (n, n), ``second_biases`` (n,), ``last_weights`` (1, n) and
``last_biases`` (1,)."""

_AXES = tuple(tuple(sign if axis == of else 0 for axis in range(3)) for of in range(3) for sign in (-1, 1))
"""The six directions along the axes."""
NEIGHBOURS: tuple[tuple[int, ...], ...] = (
    *(offset for offset in itertools.product((-1, 0, 1), repeat=3) if any(offset)),
    *(tuple(distance * d for d in axis) for distance in (2, 3) for axis in _AXES),
)
"""Voxels around each one that the network sees, as offsets along z, y, x."""
MEAN_SIDES = (5, 9)
"""Sides of the cubes of which the network sees means: that around the voxel, and six in the directions of the
axes, each as far away as its side less one."""
ACTIVITY_SIDES = (3, 5, 9)
"""Sides of the cubes of which the network sees how rough they are."""
N_INPUTS = len(NEIGHBOURS) + len(MEAN_SIDES) * (1 + len(_AXES)) + len(ACTIVITY_SIDES) + 4
_MAX_CORRECTION = 4.0
"""Largest correction, in units of the noise."""
_SOFTNESS = 4.0
"""Difference, in units of the noise, that is halved: larger ones are told apart less and less."""


def abstract_filter(n_units: int) -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
    """Describe the parameters of a model's filter of ``n_units`` units a layer: ``filter``; empty if 0."""
    if n_units == 0:
        return {}
    shapes: dict[str, tuple[int, ...]] = {
        "first_weights": (n_units, N_INPUTS),
        "first_biases": (n_units,),
        "second_weights": (n_units, n_units),
        "second_biases": (n_units,),
        "last_weights": (1, n_units),
        "last_biases": (1,),
    }
    return {"filter": {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}}


Surroundings = tuple[jax.Array, ...]
"""Maps of a volume that the network sees: the volume, means of cubes and roughness of cubes.
Float32 (z, y, x) each, extended beyond the sides of the volume by the last voxels."""

_REACHES = (3, *(side - 1 for side in MEAN_SIDES), *(0 for _ in ACTIVITY_SIDES))
"""Voxels by which each map is extended on every side."""
_READS = (
    *((0, offset) for offset in NEIGHBOURS),
    *(
        (1 + i, tuple((side - 1) * d for d in direction))
        for i, side in enumerate(MEAN_SIDES)
        for direction in ((0, 0, 0), *_AXES)
    ),
    *((1 + len(MEAN_SIDES) + i, (0, 0, 0)) for i in range(len(ACTIVITY_SIDES))),
)
"""Map and offset of each input that is read from a map, in the order of the inputs."""


def find_surroundings(volume: jax.Array, valid_shape: jax.Array) -> Surroundings:
    """Compute what the network sees of a volume.

    Args:
        volume: float32 (z, y, x), in units of the range.
        valid_shape: int32 (3,), voxels along z, y, x that count; the last ones stand for those beyond.
    """
    roughness = jnp.abs(volume - _cube_means(volume, valid_shape, 3))
    maps = (
        volume,
        *(_cube_means(volume, valid_shape, side) for side in MEAN_SIDES),
        *(_cube_means(roughness, valid_shape, side) for side in ACTIVITY_SIDES),
    )
    extended = (_extend(part, valid_shape, reach) for part, reach in zip(maps, _REACHES, strict=True))
    return tuple(extended)


def _extend(volume: jax.Array, valid_shape: jax.Array, reach: int) -> jax.Array:
    """Extend a volume by ``reach`` voxels on every side; the nearest ones that count stand for others."""
    for axis, side in enumerate(volume.shape):
        place = jnp.arange(-reach, side + reach, dtype=jnp.int32)
        volume = jnp.take(volume, jnp.clip(place, 0, valid_shape[axis] - 1), axis=axis)
    return volume


def _cube_means(volume: jax.Array, valid_shape: jax.Array, side: int) -> jax.Array:
    """Compute the mean of the cube around each voxel, of the volume's shape."""
    shape = check_shape(volume.shape)
    total = _extend(volume, valid_shape, side // 2)
    for axis in range(3):
        parts = (lax.slice_in_dim(total, i, i + shape[axis], axis=axis) for i in range(side))
        total = sum(parts, start=jnp.float32(0))
    return total / side**3


def read_inputs(
    surroundings: Surroundings, voxels: jax.Array, noise: jax.Array, step: jax.Array
) -> jax.Array:
    """Get the inputs of the network at some voxels, float32 (N_INPUTS, m).

    Args:
        surroundings: of the volume.
        voxels: int32 (m, 3), places along z, y, x.
        noise: float32, in units of the range.
        step: float32, of the quantiser, relative to the range.
    """

    def read(index: int, offset: tuple[int, ...]) -> jax.Array:
        z, y, x = (voxels[:, axis] + (offset[axis] + _REACHES[index]) for axis in range(3))
        return surroundings[index][z, y, x]

    values = [read(*of_input) for of_input in _READS]
    return _join_inputs(values, read(0, (0, 0, 0)), noise, _levels(noise, step))


def _levels(noise: jax.Array, step: jax.Array) -> jax.Array:
    """Compute the inputs that are the same for all voxels, float32 (2,)."""
    return jnp.stack([jnp.log2(noise), jnp.log2(step / noise)]) / 4


def _join_inputs(
    values: list[jax.Array], center: jax.Array, noise: jax.Array, levels: jax.Array
) -> jax.Array:
    """Put the inputs of voxels together: what is read at ``_READS``, float32 (m,) each, and the voxels."""
    n_differences = len(_READS) - len(ACTIVITY_SIDES)
    differences = (jnp.stack(values[:n_differences]) - center[None]) / noise
    soft = differences / (1 + jnp.abs(differences) / _SOFTNESS)
    activities = jnp.log1p(jnp.stack(values[n_differences:]) / noise)
    level = jnp.arcsinh(center / noise)
    of_all = jnp.broadcast_to(levels[:, None], (2, len(center)))
    return jnp.concatenate([soft, activities, level[None], center[None], of_all])


def estimate_errors(network: Network, inputs: jax.Array) -> jax.Array:
    """Estimate the errors of voxels, original less decoded, in units of the noise: float32 (m,).

    Args:
        network: parameters.
        inputs: float32 (N_INPUTS, m).
    """
    units = inputs
    for layer in ("first", "second"):
        units = jax.nn.relu(_apply_layer(network, layer, units))
    return jnp.clip(_apply_layer(network, "last", units)[0], -_MAX_CORRECTION, _MAX_CORRECTION)


def _apply_layer(network: Network, layer: str, units: jax.Array) -> jax.Array:
    """Apply the weights and biases of one layer."""
    weights, biases = network[f"{layer}_weights"], network[f"{layer}_biases"]
    return jnp.matmul(weights, units, precision=lax.Precision.HIGHEST) + biases[:, None]


def find_correction(
    network: Network, volume: jax.Array, valid_shape: jax.Array, noise: jax.Array, step: jax.Array
) -> jax.Array:
    """Compute the whole correction of a volume, of its shape and in its units.

    Args:
        network: parameters.
        volume: float32 (z, y, x), decoded, in units of the range.
        valid_shape: int32 (3,), voxels along z, y, x that count; the results of others are arbitrary.
        noise: float32, in units of the range.
        step: float32, of the quantiser, relative to the range.
    """
    arguments = (network, volume, valid_shape, noise, _levels(noise, step))
    return on_cpu(native_filter.find_correction, find_correction_reference, *arguments)


def find_correction_reference(
    network: Network, volume: jax.Array, valid_shape: jax.Array, noise: jax.Array, levels: jax.Array
) -> jax.Array:
    """Compute the correction in ``jax.numpy``: the specification of the kernel.

    The arguments are those of ``find_correction``, and in place of the step float32 (2,), the inputs that
    are the same for all voxels.
    """
    surroundings, (depth, *plane) = find_surroundings(volume, valid_shape), check_shape(volume.shape)

    def of_plane(z: jax.Array) -> jax.Array:
        def read(index: int, offset: tuple[int, ...]) -> jax.Array:
            part = surroundings[index]
            starts = [offset[axis] + _REACHES[index] for axis in range(3)]
            first = [z + starts[0], jnp.int32(starts[1]), jnp.int32(starts[2])]
            return lax.dynamic_slice(part, first, (1, *plane)).reshape(-1)

        inputs = _join_inputs([read(*of_input) for of_input in _READS], read(0, (0, 0, 0)), noise, levels)
        return noise * estimate_errors(network, inputs).reshape(plane)

    return lax.map(of_plane, jnp.arange(depth, dtype=jnp.int32))
