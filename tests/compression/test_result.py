import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_params import draw_params
from interruption import Interrupted, interrupt_after
from stored_files import read_files

import nvc_jax
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume

VOLUME = read_volume(SAMPLE)[:21, :30, :43]
CHUNK, SHARD = (16, 16, 16), (16, 32, 32)
TARGET: dict[str, Any] = {"max_error": 2, "chunks": CHUNK}


def check_complete(result: nvc_jax.CompressionResult, volume: np.ndarray, stored_bytes: int) -> None:
    """Compare a result with the files, with ``info`` and with ``evaluate``."""
    assert result.is_complete
    assert result.stored_bytes == stored_bytes
    described = nvc_jax.info(result.location)
    for field in ("model", "stored_bytes", "ratio", "bits_per_voxel", "max_error"):
        assert getattr(result, field) == described[field]
    assert (result.target, result.bound) == (described["target"], described["bound"])
    assert result.source_bytes == volume.nbytes
    measured = nvc_jax.evaluate(volume, result.location)
    for field in ("ratio", "bits_per_voxel", "max_error"):
        assert getattr(result, field) == pytest.approx(measured[field])


def size_of(directory: Path) -> int:
    return sum(map(len, read_files(directory).values()))


def check_incomplete(result: nvc_jax.CompressionResult, location: Path) -> None:
    expected = nvc_jax.CompressionResult(location, "nvc-1", is_complete=False)
    assert result == expected
    assert [*dataclasses.astuple(expected)[3:]] == [None] * 7


@pytest.mark.parametrize("options", [{}, {"shards": SHARD}])
def test_a_run_reports_its_container(options: dict, tmp_path: Path) -> None:
    result = nvc_jax.compress(VOLUME, tmp_path / "v.zarr", **TARGET, **options)
    assert (result.location, result.model) == (tmp_path / "v.zarr", "nvc-1")
    check_complete(result, VOLUME, size_of(tmp_path / "v.zarr"))
    assert 0 < result.max_error <= 2
    assert result == nvc_jax.CompressionResult.of_container(tmp_path / "v.zarr")


def test_special_values_have_no_part_in_the_error(tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float32)
    volume[:, :9] = -1e10
    volume[4, 20] = np.nan
    result = nvc_jax.compress(volume, tmp_path / "v.zarr", **TARGET)
    check_complete(result, volume, size_of(tmp_path / "v.zarr"))
    assert result.ratio == volume.nbytes / size_of(tmp_path / "v.zarr")


def test_an_embedded_model_counts(tmp_path: Path) -> None:
    config = DenseConfig(block_size=4, margin=1, latent_dim=3, hidden_sizes=(8,))
    codec = nvc_jax.Codec(config, draw_params(config))
    result = nvc_jax.compress(VOLUME, str(tmp_path / "v.zarr"), model=codec, chunks=(8, 16, 16))
    assert (result.location, result.model) == (str(tmp_path / "v.zarr"), "custom")
    assert (tmp_path / "v.zarr" / "zarr.json").stat().st_size > 1000
    assert result.is_complete
    assert result.stored_bytes == size_of(tmp_path / "v.zarr")
    assert result.bits_per_voxel == 8 * size_of(tmp_path / "v.zarr") / VOLUME.size


def test_a_zip_file_is_reported_without_its_own_directory(tmp_path: Path) -> None:
    result = nvc_jax.compress(VOLUME, tmp_path / "v.zarr.zip", **TARGET)
    with zipfile.ZipFile(tmp_path / "v.zarr.zip") as archive:
        stored_bytes = sum(entry.file_size for entry in archive.infolist())
    check_complete(result, VOLUME, stored_bytes)
    assert result == nvc_jax.CompressionResult.of_container(tmp_path / "v.zarr.zip")


def test_the_last_part_reports_the_container(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    for part in (2, 0):
        check_incomplete(nvc_jax.compress(VOLUME, path, **TARGET, part=(part, 3)), path)
    result = nvc_jax.compress(VOLUME, path, **TARGET, part=(1, 3))
    check_complete(result, VOLUME, size_of(path))
    # Whoever calls again learns that the container is complete.
    assert nvc_jax.compress(VOLUME, path, **TARGET, part=(2, 3)) == result
    assert result == nvc_jax.compress(VOLUME, path, **TARGET)


def test_a_resumed_run_reports_what_earlier_ones_stored_too(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    with pytest.raises(Interrupted):
        nvc_jax.compress(VOLUME, path, **TARGET, on_progress=interrupt_after(9))
    result = nvc_jax.compress(VOLUME, path, **TARGET, resume=True)
    check_complete(result, VOLUME, size_of(path))
    assert result == nvc_jax.compress(VOLUME, path, **TARGET)


@pytest.mark.parametrize("target", [{"lossless": True}, {"step": 0.02}, {"model": "zero-margin"}])
def test_every_target_is_reported(target: dict, tmp_path: Path) -> None:
    result = nvc_jax.compress(VOLUME, tmp_path / "v.zarr", chunks=CHUNK, **target)
    check_complete(result, VOLUME, size_of(tmp_path / "v.zarr"))
    assert (result.max_error == 0) == ("lossless" in target)
