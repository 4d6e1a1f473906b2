import contextlib
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from drawn_params import draw_params

import nvc_jax
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.io.geometry import ras_affine
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import read_metadata, read_volume
from nvc_jax.io.writers import write_volume

VOLUME = read_volume(SAMPLE)[:21, :30, :43]
CHUNK = (16, 16, 24)
REGIONS = [np.s_[0:1, 0:1, 0:1], np.s_[3:19, 15:17, 20:43], np.s_[20:21, 29:30, 42:43]]


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streams") / "v.zarr"
    nvc_jax.compress(VOLUME, path, model="nvc-1", step=0.02, chunks=CHUNK)
    return path


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quantized") / "v.zarr"
    nvc_jax.compress(VOLUME, path, model="two-wide-margin", step=0.25, chunks=CHUNK)
    return path


@pytest.mark.parametrize("region", REGIONS)
def test_regions_of_streams_are_those_of_the_volume(region: tuple, streams: Path, tmp_path: Path) -> None:
    expected = nvc_jax.open(streams).read().result()
    nvc_jax.decompress(streams, tmp_path / "r.npy", region=region)
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), expected[region])


@pytest.mark.parametrize("region", [np.s_[:, :, :], *REGIONS])
@pytest.mark.parametrize("mode", ["blend", "crop"])
def test_regions_of_latents_are_those_of_the_codec(
    mode: str, region: tuple, quantized: Path, tmp_path: Path
) -> None:
    codec = nvc_jax.load_codec("two-wide-margin")
    decoded = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, VOLUME, step=0.25), mode=mode)
    expected = np.asarray(decoded).astype(int)
    nvc_jax.decompress(quantized, tmp_path / "r.npy", region=region, mode=mode)
    assert np.abs(np.load(tmp_path / "r.npy") - expected[region]).max() <= 1


def test_a_region_reads_only_the_chunks_that_it_needs(tmp_path: Path) -> None:
    store = tmp_path / "v.zarr"
    config = DenseConfig(block_size=4, margin=1, latent_dim=3, hidden_sizes=(8,))
    codec = nvc_jax.Codec(config, draw_params(config))
    nvc_jax.compress(VOLUME, store, model=codec, chunks=(8, 16, 16))
    region = (slice(0, 4), slice(0, 4), slice(0, 4))
    nvc_jax.decompress(store, tmp_path / "before.npy", region=region)
    shutil.rmtree(store / "c" / "2")
    nvc_jax.decompress(store, tmp_path / "after.npy", region=region)
    np.testing.assert_array_equal(np.load(tmp_path / "after.npy"), np.load(tmp_path / "before.npy"))
    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(2, 1, 2\) .* is missing"):
        nvc_jax.decompress(store, tmp_path / "v.npy")
    assert not (tmp_path / "v.npy").exists()


def test_progress_is_reported_chunk_by_chunk(streams: Path, tmp_path: Path) -> None:
    reports: list[ByteProgress] = []
    nvc_jax.decompress(streams, tmp_path / "v.npy", on_progress=reports.append)
    assert len(reports) == 1 + 2 * 2 * 2
    assert reports[0].done_bytes == 0
    assert [report.done_bytes for report in reports] == sorted(report.done_bytes for report in reports)
    assert reports[-1].done_bytes == reports[-1].total_bytes == VOLUME.nbytes


def test_bad_requests_are_named_and_leave_nothing_behind(streams: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must lie within"):
        nvc_jax.decompress(streams, tmp_path / "v.npy", region=(slice(0, 22), slice(None), slice(None)))
    with pytest.raises(ValueError, match="must lie within"):
        nvc_jax.decompress(streams, tmp_path / "v.npy", region=(slice(4, 4), slice(None), slice(None)))
    with pytest.raises(ValueError, match="suffix must be one of"):
        nvc_jax.decompress(streams, tmp_path / "v.png")
    with pytest.raises(ValueError, match="`mode`"):
        nvc_jax.decompress(streams, tmp_path / "v.npy", mode="average")
    assert not list(tmp_path.iterdir())


def test_a_container_is_never_replaced_by_its_own_content(streams: Path) -> None:
    with pytest.raises(ValueError, match="is the source itself"):
        nvc_jax.decompress(streams, str(streams))
    assert nvc_jax.info(streams)["shape"] == list(VOLUME.shape)


def test_coordinates_are_kept(tmp_path: Path) -> None:
    axes, spacing, origin = ("depth", "lat", "lon"), (2.0, 0.5, 0.25), (10.0, -90.0, 0.0)
    source = VolumeMetadata(axes, spacing, origin, None, {"title": "Ocean"})
    write_volume(tmp_path / "source.zarr", VOLUME, metadata=source)
    nvc_jax.compress(tmp_path / "source.zarr", tmp_path / "v.zarr", chunks=CHUNK, step=0.02)
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "copy.zarr")
    for path in ("v.zarr", "copy.zarr"):
        metadata = read_metadata(tmp_path / path)
        assert metadata.dimension_names == axes
        assert (metadata.spacing, metadata.origin) == (spacing, origin)
        assert metadata.attributes["title"] == "Ocean"
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "p.zarr", level="preview")
    preview = read_metadata(tmp_path / "p.zarr")
    assert preview.spacing == (16.0, 4.0, 2.0)
    assert preview.origin == (17.0, -88.25, 0.875)
    region = (slice(2, 10), slice(4, 8), slice(8, 16))
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "r.zarr", region=region)
    assert read_metadata(tmp_path / "r.zarr").origin == (14.0, -88.0, 2.0)


def test_a_region_keeps_its_positions_in_other_formats(tmp_path: Path) -> None:
    affine = np.array([[0, -2, 0, 5], [0.5, 0, 0, -7], [0, 0, 3, 9], [0, 0, 0, 1.0]])
    attributes = {"affine": affine.tolist(), "scale_factor": 0.5}
    metadata = VolumeMetadata(spacing=(3.0, 2.0, 0.5), units=("mm",) * 3, attributes=attributes)
    write_volume(tmp_path / "v.nii.gz", VOLUME, metadata=metadata)
    nvc_jax.compress(tmp_path / "v.nii.gz", tmp_path / "v.zarr", model="nvc-1", lossless=True, chunks=CHUNK)
    shifted = affine @ [20, 15, 3, 1]
    for name in ("r.nii", "r.mgz", "r.nrrd", "r.mha"):
        lacks_scaling = pytest.warns(UserWarning, match="has no place for `add_offset`, `scale_factor`")
        with lacks_scaling if name in ("r.mgz", "r.mha") else contextlib.nullcontext():
            nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / name, region=REGIONS[1])
        np.testing.assert_array_equal(read_volume(tmp_path / name), VOLUME[REGIONS[1]], strict=True)
        expected = np.column_stack([affine[:, :3], shifted])
        np.testing.assert_allclose(ras_affine(read_metadata(tmp_path / name)), expected, rtol=1e-6)
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "r.nc", region=REGIONS[1])
    assert read_metadata(tmp_path / "r.nc").attributes["scale_factor"] == 0.5


@pytest.mark.parametrize(
    ("shape", "chunks", "written"),
    [
        ((60, 136, 264), (16, 32, 48), (60, 128, 96)),
        ((24, 24, 160), (24, 24, 136), (24, 24, 136)),
        ((3, 16, 16, 144), (1, 8, 8, 40), (1, 16, 16, 120)),
    ],
)
def test_small_chunks_are_joined_in_zarr(
    shape: tuple[int, ...], chunks: tuple[int, ...], written: tuple[int, ...], tmp_path: Path
) -> None:
    volume = np.linspace(0, 1, math.prod(shape), dtype=np.float32).reshape(shape)
    nvc_jax.compress(volume, tmp_path / "v.zarr", lossless=True, chunks=chunks)
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "plain.zarr")
    array = zarr.open_array(tmp_path / "plain.zarr", mode="r")
    assert array.chunks == written
    np.testing.assert_array_equal(array[:], volume)
