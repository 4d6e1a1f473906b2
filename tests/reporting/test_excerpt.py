import re
from pathlib import Path

import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.reporting import excerpt as excerpts
from nvc_jax.reporting.excerpt import take_excerpt

SERIES = read_volume(SAMPLE)[:3, None, :64, :64]
"""Three steps of one channel of planes, uint8."""


def test_a_small_volume_is_shown_whole(stored) -> None:
    excerpt = stored.excerpt
    assert excerpt.is_whole
    assert excerpt.describe() == "All 43,200 voxels of the volume."
    assert excerpt.axes == ("z", "y", "x")
    assert excerpt.stored_bytes == nvc_jax.info(stored.container)["stored_bytes"]
    np.testing.assert_array_equal(excerpt.original, stored.volume)
    np.testing.assert_array_equal(excerpt.valid, np.isfinite(stored.volume))
    for floats in excerpt.floats:
        np.testing.assert_array_equal(np.isnan(floats), ~excerpt.valid)


@pytest.mark.parametrize(("at", "step"), [(None, 1), ("0=2", 2), ({"dim_0": 0}, 0)])
def test_one_step_of_a_series_is_shown(at: object, step: int, tmp_path: Path) -> None:
    nvc_jax.compress(SERIES, tmp_path / "v.zarr", lossless=True)
    excerpt = take_excerpt(SERIES, tmp_path / "v.zarr", at)
    np.testing.assert_array_equal(excerpt.original, SERIES[step])
    np.testing.assert_array_equal(excerpt.decoded, SERIES[step])
    assert not excerpt.is_whole
    assert f"4,096 of 12,288 voxels (33.3 %): dim_0 = {step}," in excerpt.describe()
    assert 0 < excerpt.stored_bytes < nvc_jax.info(tmp_path / "v.zarr")["stored_bytes"]


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("z=3", "`at` (=z=3): `z` is an axis of space, and the middle is shown"),
        ("t=3", "`at`: there is no axis `t`; the volume has the axes"),
        ("0=1:2", "`at` (=0=1:2) must name one place along an axis"),
    ],
)
def test_places_that_there_are_not_are_refused(at: str, message: str, stored) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        take_excerpt(stored.volume, stored.container, at)


def test_of_large_volumes_whole_chunks_in_the_middle_are_shown(tmp_path: Path) -> None:
    side = 256
    volume = np.zeros((side, side, side), np.uint8)
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=(64, 64, 64))
    excerpt = take_excerpt(volume, tmp_path / "v.zarr", None)
    assert side**3 // 4 < excerpt.original.size <= excerpts.MOST_VOXELS
    for part in excerpt.region:
        assert part.start % 64 == 0
        assert part.stop % 64 == 0
        assert part.start <= side // 2 <= part.stop


def test_of_one_large_chunk_the_middle_is_shown(tmp_path: Path) -> None:
    volume = np.zeros((200, 256, 256), np.uint8)
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=(200, 256, 256))
    excerpt = take_excerpt(volume, tmp_path / "v.zarr", None)
    assert excerpt.original.size <= excerpts.MOST_VOXELS
    assert excerpt.region[1] == slice(64, 192)


def test_another_volume_is_refused(stored) -> None:
    with pytest.raises(ValueError, match=r"`original` is float32 \(19, 30, 72\); the container holds"):
        take_excerpt(stored.volume[1:], stored.container, None)
