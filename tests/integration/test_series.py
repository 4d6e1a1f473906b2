"""Chunks that hold several steps of a series: every way of compressing, reading and writing them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from interruption import Interrupted, interrupt_after

import nvc_jax
from nvc_jax.cli.main import main

CHUNKS = (3, 16, 16, 24)
TARGETS: dict[str, dict[str, Any]] = {
    "psnr": {"psnr": 38.0},
    "step": {"step": 0.2},
    "bound": {"relative_error": 0.03},
    "pointwise": {"pointwise_error": 0.01},
    "lossless": {"lossless": True},
}


def moving(shape: tuple[int, ...]) -> np.ndarray:
    """Waves that move a little from step to step, along all axes but the first."""
    time, *grids = np.indices(shape)
    noise = np.random.default_rng(0).normal(0, 0.02, shape)
    waves = sum(np.sin((grid + 0.2 * time) / (3 + axis)) for axis, grid in enumerate(grids))
    return (waves + noise).astype(np.float32)


SERIES = moving((7, 19, 30, 40))


@pytest.fixture(scope="module", params=TARGETS)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Name of a target, and the container of the series."""
    path = tmp_path_factory.mktemp("series") / "v.zarr"
    nvc_jax.compress(SERIES, path, chunks=CHUNKS, **TARGETS[request.param])
    return request.param, path


def test_series_come_back(stored: tuple[str, Path]) -> None:
    name, path = stored
    described, verified = nvc_jax.info(path), nvc_jax.verify(SERIES, path)
    assert described["chunk"] == list(CHUNKS)
    assert verified["measured_max_error"] == pytest.approx(described["max_error"], abs=1e-5)
    measured = nvc_jax.evaluate(SERIES, path)
    if name == "psnr":
        assert measured["psnr_db"] == pytest.approx(38, abs=0.1)
    if name == "lossless":
        assert measured["max_error"] == 0


def test_any_region_can_be_read(stored: tuple[str, Path]) -> None:
    _, path = stored
    whole = nvc_jax.open(path).read().result()
    regions = [np.s_[2:4, 3:17, 5:6, 20:30], np.s_[6:7], np.s_[5:7, 18:19, :, 39:40]]
    for region in regions:
        np.testing.assert_array_equal(nvc_jax.open(path)[region].read().result(), whole[region])
        np.testing.assert_array_equal(zarr.open_array(path, mode="r")[region], whole[region])


def test_previews_have_all_steps(stored: tuple[str, Path]) -> None:
    _, path = stored
    preview = nvc_jax.preview(path)
    assert preview.shape == (7, 3, 4, 5)
    means = SERIES[:, :16, :24].reshape(7, 2, 8, 3, 8, 5, 8).mean(axis=(2, 4, 6))
    assert np.abs(preview[:, :2, :3] - means).max() < 0.2
    view = nvc_jax.open(path, level="preview")
    np.testing.assert_array_equal(view[3:5].read().result(), preview[3:5])


def test_steps_of_one_chunk_take_fewer_bytes_than_chunks_of_one_step(tmp_path: Path) -> None:
    sizes = []
    for n_steps in (1, 7):
        chunks = (n_steps, *CHUNKS[1:])
        nvc_jax.compress(SERIES, tmp_path / "v.zarr", psnr=38, chunks=chunks, overwrite=True)
        sizes.append(
            sum(path.stat().st_size for path in (tmp_path / "v.zarr" / "c").rglob("*") if path.is_file())
        )
    assert sizes[1] < 0.95 * sizes[0]


@pytest.mark.parametrize("shards", [None, (6, 32, 32, 48)])
def test_runs_resume_and_share_the_work(shards: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"step": 0.2, "chunks": CHUNKS, "shards": shards}
    nvc_jax.compress(SERIES, tmp_path / "whole.zarr", **options)
    expected = nvc_jax.open(tmp_path / "whole.zarr").read().result()
    with pytest.raises(Interrupted):
        nvc_jax.compress(SERIES, tmp_path / "v.zarr", on_progress=interrupt_after(2), **options)
    assert nvc_jax.compress(SERIES, tmp_path / "v.zarr", resume=True, **options).is_complete
    for part in range(2):
        nvc_jax.compress(SERIES, tmp_path / "parts.zarr", part=(part, 2), **options)
    for name in ("v.zarr", "parts.zarr"):
        np.testing.assert_array_equal(nvc_jax.open(tmp_path / name).read().result(), expected)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "v.zarr", mode="r")[:], expected)


def test_zarr_python_writes_several_steps(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "v.zarr",
        shape=SERIES.shape,
        chunks=CHUNKS,
        dtype="float32",
        serializer=nvc_jax.zarr_codec(max_error=0.3),
        compressors=None,
    )
    array[:] = SERIES
    assert np.abs(array[:] - SERIES).max() <= 0.3
    nvc_jax.verify(SERIES, tmp_path / "v.zarr")


@pytest.mark.parametrize("dtype", ["uint8", "float16", "int64", "float64", "bool"])
def test_dtypes_come_back(dtype: str, tmp_path: Path) -> None:
    values = (SERIES > 0) if dtype == "bool" else (30 * SERIES + 100).astype(dtype)
    options = {} if dtype == "bool" else {"max_error": 2.0}
    nvc_jax.compress(values, tmp_path / "v.zarr", chunks=CHUNKS, **options)
    assert nvc_jax.verify(values, tmp_path / "v.zarr")["measured_max_error"] <= 2


def test_missing_values_and_five_axes_come_back(tmp_path: Path) -> None:
    values = np.stack([SERIES, SERIES[::-1]])
    values[:, 1:3, 4:9] = np.nan
    values[:, 4:, :, :7] = -99
    nvc_jax.compress(values, tmp_path / "v.zarr", chunks=(1, *CHUNKS), psnr=38, missing_values=[-99])
    nvc_jax.verify(values, tmp_path / "v.zarr")
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    np.testing.assert_array_equal(np.isnan(decoded), np.isnan(values))
    np.testing.assert_array_equal(decoded == -99, values == -99)


def test_the_command_line_takes_four_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "v.npy", SERIES)
    paths = [str(tmp_path / name) for name in ("v.npy", "v.zarr")]
    assert main(["compress", *paths, "--psnr", "38", "--chunk", "3,16,16,24"]) == 0
    assert main(["verify", *paths]) == 0
    assert main(["info", paths[1]]) == 0
    refused = [*paths, "--model", "zero-margin", "--chunk", "3,16,16,24", "--overwrite"]
    assert main(["compress", *refused]) != 0
    assert "at most 3 sides above 1 with this model" in capsys.readouterr().err


def test_series_are_compared_and_reported(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs")
    compared = nvc_jax.compare(SERIES, [{"psnr": 38}, {"relative_error": 0.01}], chunks=CHUNKS)
    assert compared
    nvc_jax.compress(SERIES, tmp_path / "v.zarr", chunks=CHUNKS, psnr=38)
    nvc_jax.report(SERIES, tmp_path / "v.zarr", tmp_path / "report.html", at="0=4")
    assert (tmp_path / "report.html").stat().st_size > 0
