import json
import math
from pathlib import Path

import numpy as np
import pytest
from model_kinds import registered
from tiny_model.batching import BATCHING_KIND, DECODED
from tiny_model.config import BlockMeanConfig

import nvc_jax
from nvc_jax.chunks.preview import block_means
from nvc_jax.container.metadata import FormatError
from nvc_jax.evaluation import containers

CHUNK = (16, 16, 16)
MISSING = -9999.0


def make_volume() -> np.ndarray:
    z, y, x = np.indices((24, 20, 33))
    return (60 + 50 * np.sin(z / 9 + y / 11) * np.cos(x / 13)).astype(np.float32)


def make_holed_volume() -> np.ndarray:
    volume = make_volume()
    volume[:, :4] = MISSING
    volume[5, 6, 7] = np.nan
    return volume


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bounded") / "v.zarr"
    nvc_jax.compress(make_volume(), path, max_error=0.5, chunks=CHUNK)
    return path


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("holed") / "v.zarr"
    nvc_jax.compress(make_holed_volume(), path, max_error=0.5, missing_values=[MISSING], chunks=CHUNK)
    return path


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lossless") / "v.zarr"
    nvc_jax.compress(make_volume(), path, lossless=True, chunks=CHUNK)
    return path


def test_info_reports_the_metadata_and_the_size(bounded: Path) -> None:
    report = containers.info(bounded)
    stored = sum(file.stat().st_size for file in bounded.rglob("*") if file.is_file())
    volume = make_volume()
    expected = {
        "shape": [24, 20, 33],
        "dtype": "float32",
        "chunk": list(CHUNK),
        "shard": None,
        "version": 1,
        "model": "nvc-1",
        "target": {"max_error": 0.5},
        "bound": 0.5,
        "minimum": float(volume.min()),
        "maximum": float(volume.max()),
        "fill_values": [],
        "stored_bytes": stored,
        "bits_per_voxel": 8 * stored / volume.size,
        "ratio": volume.nbytes / stored,
    }
    assert {key: report[key] for key in expected} == expected
    assert report.keys() - expected.keys() == {"sha256", "step", "max_error"}
    assert json.loads(json.dumps(report)) == report


def test_evaluate_measures_the_decoded_volume(bounded: Path) -> None:
    volume = make_volume()
    decoded = np.asarray(nvc_jax.open(bounded).read().result())
    errors = decoded.astype(np.float64) - volume.astype(np.float64)
    measures = containers.evaluate(volume, bounded)
    assert measures["max_error"] == np.abs(errors).max()
    assert measures["mse"] == pytest.approx(np.mean(errors**2))
    assert measures["ratio"] == containers.info(bounded)["ratio"]
    assert measures["bits_per_voxel"] == containers.info(bounded)["bits_per_voxel"]


def test_evaluate_of_a_lossless_container_finds_no_error(lossless: Path) -> None:
    measures = containers.evaluate(make_volume(), lossless)
    assert (measures["psnr_db"], measures["mse"], measures["max_error"]) == (math.inf, 0, 0)


def test_evaluate_leaves_missing_values_out(holed: Path) -> None:
    volume = make_holed_volume()
    valid = np.isfinite(volume) & (volume != MISSING)
    decoded = np.asarray(nvc_jax.open(holed).read().result())
    errors = decoded[valid].astype(np.float64) - volume[valid].astype(np.float64)
    measures = containers.evaluate(volume, holed)
    expected_psnr = 20 * np.log10(float(np.ptp(volume[valid]))) - 10 * np.log10(np.mean(errors**2))
    assert measures["max_error"] == np.abs(errors).max()
    assert measures["psnr_db"] == pytest.approx(expected_psnr)


def test_evaluate_rejects_an_original_of_another_shape(bounded: Path) -> None:
    with pytest.raises(ValueError, match=r"\(23, 20, 33\).*\(24, 20, 33\)"):
        containers.evaluate(make_volume()[1:], bounded)
    with pytest.raises(ValueError, match="`mode`"):
        containers.evaluate(make_volume(), bounded, mode="mix")


def test_verify_without_an_original_decodes_every_chunk(bounded: Path) -> None:
    report = containers.verify(None, bounded)
    described = containers.info(bounded)
    expected = {"bound": described["bound"], "max_error": described["max_error"]}
    assert report == {"chunks": 2 * 2 * 3} | expected


def test_verify_measures_the_error_that_the_chunks_state(bounded: Path, holed: Path) -> None:
    for volume, container in ((make_volume(), bounded), (make_holed_volume(), holed)):
        report = containers.verify(volume, container)
        assert report.keys() == {"chunks", "bound", "max_error", "measured_max_error"}
        assert 0 < report["measured_max_error"] == report["max_error"] <= 0.5


def test_verify_finds_an_error_beyond_the_bound(bounded: Path) -> None:
    other = make_volume()
    other[20, 3, 18] += 2
    with pytest.raises(FormatError, match=r"chunk \(1, 0, 1\) .* is wrong by"):
        containers.verify(other, bounded)


def test_verify_finds_missing_values_that_are_not_restored(holed: Path) -> None:
    other = make_holed_volume()
    other[0, 5, 0] = np.inf
    with pytest.raises(FormatError, match=r"chunk \(0, 0, 0\) .* does not restore every value exactly"):
        containers.verify(other, holed)


def test_verify_of_a_lossless_container_compares_bits(lossless: Path) -> None:
    assert containers.verify(make_volume(), lossless)["measured_max_error"] == 0
    other = make_volume()
    other[0, 0, 0] = np.nextafter(other[0, 0, 0], np.float32(0))
    with pytest.raises(FormatError, match="does not restore every value exactly"):
        containers.verify(other, lossless)


def test_verify_decodes_in_batches(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(8, 8, 77)).astype(np.float32)
    path = tmp_path / "v.zarr"
    with registered(BATCHING_KIND):
        codec = nvc_jax.Codec(BlockMeanConfig(), {"pattern": np.zeros((2, 2, 2), np.float32)})
        nvc_jax.compress(volume, path, model=codec, max_error=1.0, chunks=(8, 8, 8))
        DECODED.clear()
        report = nvc_jax.verify(volume, path)
        assert DECODED == [3, 3, 3]  # and one alone
        assert report["chunks"] == 10
        assert report["measured_max_error"] == report["max_error"] <= 1.0
        volume[0, 0, 40] += 9
        with pytest.raises(FormatError, match=r"chunk \(0, 0, 5\) .* is wrong by"):
            nvc_jax.verify(volume, path)


def test_verify_rejects_an_original_of_another_type(bounded: Path) -> None:
    with pytest.raises(ValueError, match=r"`original` is float64 .* the container holds float32"):
        containers.verify(make_volume().astype(np.float64), bounded)
    with pytest.raises(ValueError, match=r"`original` is float32 \(23, 20, 33\)"):
        containers.verify(make_volume()[1:], bounded)


def test_a_damaged_chunk_is_reported(bounded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "v.zarr"
    nvc_jax.compress(make_volume(), copy, max_error=0.5, chunks=CHUNK)
    chunk = copy / "c" / "1" / "0" / "2"
    chunk.write_bytes(chunk.read_bytes()[:-3])
    with pytest.raises(FormatError, match=r"chunk \(1, 0, 2\)"):
        containers.verify(None, copy)
    with pytest.raises(FormatError, match=r"chunk \(1, 0, 2\)"):
        containers.preview(copy)


def test_preview_holds_the_means_of_blocks(bounded: Path, lossless: Path) -> None:
    means = block_means(make_volume())
    np.testing.assert_array_equal(containers.preview(lossless), means)
    coarse = containers.preview(bounded)
    assert (coarse.shape, coarse.dtype) == ((3, 3, 5), np.float32)
    # A tenth of the range of 100: the stored mean of a block reaches into its neighbours.
    np.testing.assert_allclose(coarse, means, atol=10)


def test_preview_keeps_blocks_without_valid_values(tmp_path: Path) -> None:
    volume = make_volume()
    volume[:, :8, :8] = MISSING
    nvc_jax.compress(volume, tmp_path / "v.zarr", max_error=0.5, missing_values=[MISSING], chunks=CHUNK)
    coarse = containers.preview(tmp_path / "v.zarr")
    assert (coarse[:, 0, 0] == MISSING).all()
    assert (coarse == MISSING).sum() == 3


def test_a_location_without_a_container_is_reported(tmp_path: Path) -> None:
    location = tmp_path / "none.zarr"
    for measure in (containers.info, containers.preview, lambda path: containers.verify(None, path)):
        with pytest.raises(FileNotFoundError):
            measure(location)
