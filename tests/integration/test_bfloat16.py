"""Volumes of bfloat16: exact, within a bound, and in the formats that have it."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import zarr

import nvc_jax
from nvc_jax.cli import main
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import open_volume, read_volume

BFLOAT16 = np.dtype(jnp.bfloat16)
CHUNK = (16, 16, 16)


def make_volume() -> np.ndarray:
    volume = (read_volume(SAMPLE)[:16, :20, :16].astype(np.float32) * 1.37 - 20).astype(BFLOAT16)
    volume[0, 0, :4] = [np.nan, np.inf, -0.0, -9984]
    volume.view(np.uint16)[1, 1, 1] = 0xFFC1  # NaN with a payload
    return volume


VOLUME = make_volume()
SPECIAL = ~np.isfinite(VOLUME)


def bits(values: np.ndarray) -> np.ndarray:
    return values.view(np.uint16)


@pytest.mark.parametrize(
    "options",
    [
        {"lossless": True},
        {"max_error": 2.0},
        {"max_error": 0.01},
        {"relative_error": 1e-2},
        {"step": 0.02},
        {"max_error": 2.0, "missing_values": [-9984], "value_limits": (-30, None), "exact_values": [0.0]},
    ],
)
def test_every_target_is_kept(options: dict[str, Any], tmp_path: Path) -> None:
    volume = VOLUME if "missing_values" in options else np.where(VOLUME == -9984, BFLOAT16.type(3), VOLUME)
    result = nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, **options)
    report = nvc_jax.verify(volume, tmp_path / "v.zarr")
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    assert decoded.dtype == BFLOAT16
    np.testing.assert_array_equal(bits(decoded)[SPECIAL], bits(volume)[SPECIAL])
    errors = np.abs(decoded[~SPECIAL].astype(np.float64) - volume[~SPECIAL].astype(np.float64))
    assert errors.max() == report["measured_max_error"] <= options.get("max_error", 20)
    if "lossless" in options:
        np.testing.assert_array_equal(bits(decoded), bits(volume))
    if "missing_values" in options:
        np.testing.assert_array_equal(decoded == -9984, volume == -9984)
        np.testing.assert_array_equal(decoded == 0, volume == 0)
        assert decoded[(decoded != -9984) & ~SPECIAL].astype(np.float32).min() >= -30
    assert result.ratio is not None
    assert result.ratio > 1.5


def test_formats_that_have_it_give_it_back(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", lossless=True, chunks=CHUNK)
    for name in ("a.npy", "a.npz", "a_16x20x16_bfloat16.raw", "a.zarr", "a.ome.zarr"):
        nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / name)
        assert open_volume(tmp_path / name).dtype.numpy_dtype == BFLOAT16
        np.testing.assert_array_equal(bits(read_volume(tmp_path / name)), bits(VOLUME))
    saved = np.load(tmp_path / "a.npy").view(BFLOAT16)  # NumPy's files do not name the dtype
    np.testing.assert_array_equal(bits(saved), bits(VOLUME))
    for name in ("a.nii", "a.nrrd", "a.tif", "a.h5", "a.nc", "a.mrc", "a.mha", "a.mgh"):
        with pytest.raises(TypeError, match=r"cannot hold bfloat16.*choose another format, such as \.npy"):
            nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / name)


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_raw_files_are_sources(byte_order: str, tmp_path: Path) -> None:
    bits(VOLUME).astype(f"{'<' if byte_order == 'little' else '>'}u2").tofile(tmp_path / "v.bin")
    layout = ["--shape", "16,20,16", "--dtype", "bfloat16", "--byte-order", byte_order]
    assert main(["compress", f"{tmp_path}/v.bin", f"{tmp_path}/v.zarr", "--lossless", *layout]) == 0
    np.testing.assert_array_equal(bits(nvc_jax.open(tmp_path / "v.zarr").read().result()), bits(VOLUME))


def test_previews_are_of_bfloat16(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", step=0.02, chunks=CHUNK, missing_values=[-9984])
    preview = nvc_jax.preview(tmp_path / "v.zarr")
    assert (preview.dtype, preview.shape) == (BFLOAT16, (2, 3, 2))
    means = VOLUME[8:16, 8:16, 8:16].astype(np.float32).mean()
    assert abs(float(preview[1, 1, 1]) - means) < 10


def test_zarr_python_says_that_it_does_not_know_the_dtype(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", lossless=True, chunks=CHUNK)
    with pytest.raises(ValueError, match="bfloat16"):
        zarr.open_array(tmp_path / "v.zarr", mode="r")
