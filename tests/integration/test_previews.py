"""Previews: means of blocks of 8³ voxels, for which the rest of a container is not decoded."""

from pathlib import Path

import numpy as np
import pytest

import nvc_jax
from nvc_jax.chunks.payload import PayloadKind
from nvc_jax.chunks.preview import block_means
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.container.store import open_container
from nvc_jax.io.volumes import read_volume

CHUNK = (16, 16, 24)


def smooth_volume(dtype: str) -> np.ndarray:
    z, y, x = np.indices((21, 30, 43))
    wave = 50 * np.sin(z / 9 + y / 11) * np.cos(x / 13) + 60
    return wave.astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("target", [{"step": 0.005}, {"max_error": 0.5}, {"lossless": True}])
def test_previews_are_means_of_blocks(target: dict, dtype: str, tmp_path: Path) -> None:
    volume = smooth_volume(dtype)
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, **target)
    view = nvc_jax.open(tmp_path / "v.zarr", level="preview")
    assert (view.shape, view.dtype.numpy_dtype) == ((3, 4, 6), np.dtype(dtype))
    preview = view.read().result()
    error = np.abs(preview.astype(float) - block_means(volume.astype(float)))
    # Of a range of 100: the coded mean is of a block that reaches into its neighbours.
    assert error.mean() < 2.5
    assert error.max() < 10
    np.testing.assert_array_equal(nvc_jax.preview(tmp_path / "v.zarr"), preview)
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "p.npy", level="preview")
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), preview)
    np.testing.assert_array_equal(view[1:3, 2:, 3:4].read().result(), preview[1:3, 2:, 3:4])


def test_previews_of_latents_are_means_of_the_decoded_volume(tmp_path: Path) -> None:
    nvc_jax.compress(smooth_volume("float32"), tmp_path / "v.zarr", chunks=CHUNK, model="two-wide-margin")
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    np.testing.assert_allclose(nvc_jax.preview(tmp_path / "v.zarr"), block_means(decoded), rtol=1e-5)


def test_blocks_without_valid_values_show_their_special_value(tmp_path: Path) -> None:
    volume = smooth_volume("float32")
    volume[:, :16, :16] = -9999
    volume[8:16, 24:32, 8:16] = np.nan
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, step=0.005)
    preview = nvc_jax.preview(tmp_path / "v.zarr")
    assert (preview[:, :2, :2] == -9999).all()
    assert np.isnan(preview[1, 3, 1])
    assert np.isfinite(preview).sum() == preview.size - 1


@pytest.mark.parametrize("model", ["zero-margin", "two-wide-margin", "nvc-1"])
def test_missing_values_do_not_count_in_previews(model: str, tmp_path: Path) -> None:
    volume = smooth_volume("float32")
    volume[:, 3:5] = -9999
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, model=model)
    assert nvc_jax.preview(tmp_path / "v.zarr").min() > 0


def test_previews_do_not_decode_the_rest(tmp_path: Path) -> None:
    """Chunks whose integers are damaged, all but the headers of their blocks, have the same preview."""
    volume = read_volume(SAMPLE)[:61, :40, :44]
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, step=0.02)
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    preview = nvc_jax.preview(tmp_path / "v.zarr")
    assert preview.shape == (8, 5, 6)

    store = open_container(tmp_path / "v.zarr")
    n_damaged = 0
    for index in store.chunks():
        payload = store.read_payload(index)
        if payload.kind != PayloadKind.SPECTRAL:
            continue
        # A decoder reads the words of a stream from the last to the first: the first are of integers.
        start, stop = len(payload.body) // 4, len(payload.body) // 2
        damaged = bytes(byte ^ 0x55 for byte in payload.body[start:stop])
        body = payload.body[:start] + damaged + payload.body[stop:]
        store.write_object(index, {index: payload._replace(body=body).to_bytes(CHUNK)})
        n_damaged += 1

    assert n_damaged > 12
    np.testing.assert_array_equal(nvc_jax.preview(tmp_path / "v.zarr"), preview)
    damaged_volume = nvc_jax.open(tmp_path / "v.zarr").read().result()
    assert (damaged_volume != decoded).mean() > 0.1


def test_a_preview_of_a_mask_shows_both_values(tmp_path: Path) -> None:
    mask = np.zeros((32, 16, 16), np.uint8)
    mask[4:20] = 255
    nvc_jax.compress(mask, tmp_path / "v.zarr", chunks=(16, 16, 16))
    assert nvc_jax.info(tmp_path / "v.zarr")["fill_values"] == []
    preview = nvc_jax.preview(tmp_path / "v.zarr")
    np.testing.assert_array_equal(preview, block_means(mask))
