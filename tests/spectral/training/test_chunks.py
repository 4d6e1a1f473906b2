import jax
import numpy as np
import pytest

from nvc_jax.io.volumes import open_volume
from nvc_jax.spectral.training.chunks import ChunkLoader, check_chunks, choose_chunks
from nvc_jax.training.mesh import make_mesh


def ramp(shape: tuple[int, int, int]) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_small_volumes_are_one_chunk_and_large_ones_a_few() -> None:
    volumes = [open_volume(ramp(shape)) for shape in ((20, 30, 9), (8, 8, 300))]
    chunks = choose_chunks(volumes, seed=0)
    assert [chunk.shape for chunk in chunks] == [(20, 30, 9), (8, 8, 128), (8, 8, 128)]
    assert [chunk.weight for chunk in chunks] == [1, 0.5, 0.5]
    assert chunks[0].region == tuple(slice(0, side) for side in (20, 30, 9))
    assert [chunk.region for chunk in choose_chunks(volumes, seed=0)] == [chunk.region for chunk in chunks]
    assert choose_chunks(volumes, seed=1)[1].region != chunks[1].region


@pytest.mark.parametrize("n_devices", [1, 2])
def test_each_device_has_a_chunk(n_devices: int) -> None:
    volumes = [ramp((9, 8, 8)), -ramp((16, 8, 8)), ramp((8, 16, 8))]
    volumes[0][2, 3, 4] = np.nan
    loader = ChunkLoader(
        choose_chunks([open_volume(volume) for volume in volumes], seed=0),
        make_mesh(jax.devices()[:n_devices]),
    )
    groups = list(loader.groups())
    assert [number for group in groups for number in group.numbers] == [0, 1, 2]
    for group in groups:
        assert group.centered.shape == (n_devices, 16, 16, 8)
        for number, centered, shape in zip(group.numbers, group.centered, group.valid_shapes, strict=False):
            volume = volumes[number]
            assert tuple(np.asarray(shape)) == volume.shape
            inside = np.asarray(centered)[tuple(slice(0, side) for side in volume.shape)]
            expected = (volume - np.nanmin(volume)) / (np.nanmax(volume) - np.nanmin(volume)) - 0.5
            known = np.isfinite(volume)
            np.testing.assert_allclose(inside[known], expected[known], atol=1e-6)
            assert np.isfinite(inside).all()
    assert groups[0].inside(0).sum() == 2
    assert [group.numbers for group in loader.groups(2)] == [range(2, 3)]


def test_values_beyond_float32_are_learned_from() -> None:
    volume = ramp((8, 8, 8)).astype(np.float64) * 1e300
    volume[1, 2, 3] = np.inf
    loader = ChunkLoader(choose_chunks([open_volume(volume)], seed=0), make_mesh(jax.devices()[:1]))
    (group,) = loader.groups()
    expected = ramp((8, 8, 8)) / 511 - 0.5
    known = np.isfinite(volume)
    np.testing.assert_allclose(np.asarray(group.centered)[0][known], expected[known], atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, 7.0])
def test_volumes_with_nothing_to_learn_from_are_refused(value: float) -> None:
    blank = np.full((8, 8, 8), value, np.float32)
    with pytest.raises(ValueError, match="nothing to learn from in `volumes`: in all 2 parts"):
        check_chunks(choose_chunks([open_volume(blank), open_volume(blank)], seed=0))
    check_chunks(choose_chunks([open_volume(blank), open_volume(ramp((8, 8, 8)))], seed=0))
