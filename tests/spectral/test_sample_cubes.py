import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.shapes import Shape3
from nvc_jax.spectral import sample_cubes
from nvc_jax.spectral.sample_cubes import SampleCubes, cube_corners

STEP = jnp.float32(0.02)
draw_cubes = jax.jit(sample_cubes.draw_cubes)


def cubes_of(volume: np.ndarray, valid_shape: Shape3 | None = None) -> SampleCubes:
    return draw_cubes(jnp.asarray(volume), STEP, jnp.array(valid_shape or volume.shape, jnp.int32))


@pytest.mark.parametrize(
    ("shape", "n_cubes"), [((8, 16, 24), 1), ((32, 64, 64), 4), ((64, 64, 64), 6), ((96, 128, 128), 6)]
)
def test_all_of_small_volumes_and_a_few_parts_of_large_ones_are_taken(shape: Shape3, n_cubes: int) -> None:
    side = min(shape[0], 32)
    cubes = cubes_of(np.zeros(shape, np.float32))
    assert cubes.tower.shape == (n_cubes * side, *(min(length, 32) for length in shape[1:]))
    np.testing.assert_allclose(np.sum(cubes.weights), len(cube_corners(shape, (side, 32, 32))), rtol=1e-4)


@pytest.mark.parametrize("shape", [(32, 32, 32), (64, 64, 64), (32, 128, 128), (40, 72, 256), (56, 56, 56)])
def test_cubes_cover_a_volume_from_borders_of_superblocks(shape: Shape3) -> None:
    corners = cube_corners(shape, (32, 32, 32))
    assert (corners % 16 == 0).all()
    assert len(np.unique(corners, axis=0)) == len(corners)
    is_covered = np.zeros(shape, bool)
    for z, y, x in corners:
        assert (np.array([z, y, x]) + 32 <= shape).all()
        is_covered[z : z + 32, y : y + 32, x : x + 32] = True
    complete = tuple(slice(length // 16 * 16) for length in shape)
    assert is_covered[complete].all()


def test_active_parts_are_drawn() -> None:
    volume = np.zeros((96, 128, 128), np.float32)
    volume[70:80, 5:20, 100:120] = 0.4 * np.random.default_rng(0).random((10, 15, 20))
    tower = np.asarray(cubes_of(volume).tower).reshape(6, -1)
    assert (np.abs(tower).max(axis=1) > 0).sum() >= 4


def test_nothing_outside_the_volume_is_drawn() -> None:
    volume = np.random.default_rng(0).random((32, 64, 128)).astype(np.float32)
    volume[:, :, :64] = 0
    cubes = cubes_of(volume, (31, 64, 50))
    assert np.asarray(cubes.tower).max() == 0
    assert (np.asarray(cubes.valid_shapes)[:, 0] == 31).all()
    assert set(np.asarray(cubes.valid_shapes)[:, 2].tolist()) <= {18, 32}
