from pathlib import Path

import numpy as np
import zarr

import nvc_jax
from nvc_jax.io.volumes import open_volume, read_metadata


def test_all_levels_of_an_image_become_plain_ones(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(8, 8, 264)).astype(np.float32)
    image, plain = tmp_path / "v.ome.zarr", tmp_path / "plain.ome.zarr"
    nvc_jax.compress(volume, image, max_error=0.1, pyramid=True, chunks=(8, 8, 8))
    done: list[nvc_jax.ByteProgress] = []
    nvc_jax.decompress(image, plain, on_progress=done.append)
    assert done[0].done_bytes == 0
    assert done[-1].done_bytes == done[-1].total_bytes == 4 * (8 * 8 * 264 + 4 * 4 * 132 + 2 * 2 * 66)
    assert (plain / "zarr.json").read_bytes() == (image / "zarr.json").read_bytes()
    group = zarr.open_group(plain, mode="r")
    for level in "012":
        decoded = nvc_jax.open(image / level).read().result()
        np.testing.assert_array_equal(group[level][:], decoded)
        np.testing.assert_array_equal(open_volume(plain / level).read().result(), decoded)
    assert read_metadata(plain / "2").spacing == (4.0, 4.0, 4.0)
    nvc_jax.decompress(image, tmp_path / "part.ome.zarr", region=np.s_[:4, :, :])
    assert list(zarr.open_group(tmp_path / "part.ome.zarr", mode="r").array_keys()) == ["0"]
