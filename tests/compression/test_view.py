from pathlib import Path

import jax
import numpy as np
import pytest
import tensorstore as ts
from drawn_params import draw_params
from model_kinds import registered
from stored_files import keep_only
from tiny_model.batching import BATCHING_KIND, DECODED
from tiny_model.config import BlockMeanConfig

import nvc_jax
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.container.store import open_container
from nvc_jax.core.devices import sharing_out
from nvc_jax.io.volumes import read_volume

CONFIG = DenseConfig(block_size=4, margin=1, latent_dim=3, hidden_sizes=(8,))
VOLUME = read_volume(SAMPLE)[:21, :30, :43]
CHUNK = (16, 16, 24)
REGIONS = [np.s_[0:1, 0:1, 0:1], np.s_[3:19, 15:17, 20:43], np.s_[20:21, 29:30, 42:43]]
LARGE_VOLUME = read_volume(SAMPLE)[:61, :40, :44]


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("latents") / "v.zarr"
    codec = nvc_jax.Codec(CONFIG, draw_params(CONFIG))
    nvc_jax.compress(VOLUME, path, model=codec, chunks=(8, 16, 16))
    return path


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streams") / "v.zarr"
    nvc_jax.compress(VOLUME, path, model="nvc-1", step=0.02, chunks=CHUNK)
    return path


@pytest.mark.parametrize("mode", ["blend", "crop"])
def test_regions_are_those_of_the_volume(mode: str, latents: Path) -> None:
    view = nvc_jax.open(latents, mode=mode)
    assert view.shape == VOLUME.shape
    assert view.dtype.numpy_dtype == VOLUME.dtype
    expected = view.read().result().astype(int)
    for region in [
        np.s_[0:1, 0:1, 0:1],
        np.s_[3:9, 4:8, 13:43],
        np.s_[20:21, 29:30, 42:43],
        np.s_[:, 7:9, :],
    ]:
        assert np.abs(view[region].read().result() - expected[region]).max() <= 1


def test_regions_of_streams_are_those_of_the_volume(streams: Path) -> None:
    view = nvc_jax.open(streams)
    expected = view.read().result()
    assert nvc_jax.evaluate(VOLUME, streams)["psnr_db"] > 40
    for region in REGIONS:
        np.testing.assert_array_equal(view[region].read().result(), expected[region])


@pytest.mark.parametrize("mode", ["blend", "crop"])
def test_regions_of_quantized_latents_are_those_of_the_codec(mode: str, tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", model="two-wide-margin", step=0.25, chunks=CHUNK)
    codec = nvc_jax.load_codec("two-wide-margin")
    decoded = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, VOLUME, step=0.25), mode=mode)
    expected = np.asarray(decoded).astype(int)
    view = nvc_jax.open(tmp_path / "v.zarr", mode=mode)
    for region in [np.s_[:, :, :], *REGIONS]:
        assert np.abs(view[region].read().result() - expected[region]).max() <= 1


def test_a_view_is_read_only(streams: Path) -> None:
    with pytest.raises(ValueError, match="does not support writing"):
        nvc_jax.open(streams)[0, 0, 0].write(1).result()


def test_unknown_modes_and_levels_are_named(streams: Path) -> None:
    with pytest.raises(ValueError, match="`mode`"):
        nvc_jax.open(streams, mode="average")
    with pytest.raises(ValueError, match="`level`"):
        nvc_jax.open(streams, level="half")


def test_decoded_chunks_are_kept_with_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    nvc_jax.compress(VOLUME, path, chunks=CHUNK, step=0.02)
    keep_only(path, "zarr.json", "c/0/0/0")
    view = nvc_jax.open(path, cache_bytes=1 << 20)
    value = view[3, 4, 5].read().result()
    keep_only(path, "zarr.json")
    for _ in range(20):
        assert view[3, 4, 5].read().result() == value


def test_decoded_chunks_are_not_kept_without_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    nvc_jax.compress(VOLUME, path, chunks=CHUNK, step=0.02)
    keep_only(path, "zarr.json", "c/0/0/0")
    view = nvc_jax.open(path, cache_bytes=0)
    value = view[3, 4, 5].read().result()
    keep_only(path, "zarr.json")

    def read_again() -> None:
        # A chunk may still be there when the next read begins at once.
        for _ in range(20):
            assert view[3, 4, 5].read().result() == value

    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(0, 0, 0\) .* is missing"):
        read_again()


def test_a_read_takes_its_chunks_alone(tmp_path: Path) -> None:
    nvc_jax.compress(LARGE_VOLUME, tmp_path / "v.zarr", chunks=CHUNK, step=0.02)
    chunks = [f"c/{z}/0/{x}" for z in (0, 1) for x in (0, 1)]
    region = np.s_[14:18, 3:5, 23:25]
    expected = nvc_jax.open(tmp_path / "v.zarr")[region].read().result()
    keep_only(tmp_path / "v.zarr", "zarr.json", *chunks)
    np.testing.assert_array_equal(nvc_jax.open(tmp_path / "v.zarr")[region].read().result(), expected)


def bytes_read() -> int:
    """Bytes that TensorStore has read from files."""
    metrics = ts.experimental_collect_matching_metrics("/tensorstore/kvstore/file/bytes_read")
    return int(sum(value["value"] for metric in metrics for value in metric["values"]))


def test_a_read_takes_its_chunks_of_shards_alone(tmp_path: Path) -> None:
    shards = {"chunks": CHUNK, "shards": (32, 32, 48)}
    nvc_jax.compress(LARGE_VOLUME, tmp_path / "v.zarr", **shards, step=0.02)
    store = open_container(tmp_path / "v.zarr")
    chunks = [(z, 0, x) for z in (0, 1) for x in (0, 1)]
    chunk_bytes = sum(len(store.read(index)) + 4 for index in chunks)
    view = nvc_jax.open(tmp_path / "v.zarr")
    view[50, 35, 40].read().result()  # of none of them, for what is read once
    before = bytes_read()
    view[14:18, 3:5, 23:25].read().result()
    n_bytes = bytes_read() - before
    index_bytes = 8 * 16 + 4  # of a shard of 2 × 2 × 2 chunks, where it was not kept
    assert chunk_bytes <= n_bytes <= chunk_bytes + len(chunks) * index_bytes
    container_bytes = sum(
        file.stat().st_size for file in (tmp_path / "v.zarr" / "c").rglob("*") if file.is_file()
    )
    assert chunk_bytes < container_bytes / 2


def test_chunks_that_are_read_at_a_time_are_decoded_together(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(8, 16, 77)).astype(np.float32)
    volume[0, 0, 20] = np.nan
    with registered(BATCHING_KIND):
        codec = nvc_jax.Codec(BlockMeanConfig(), {"pattern": np.zeros((2, 2, 2), np.float32)})
        nvc_jax.compress(volume, tmp_path / "v.zarr", model=codec, step=0.02, chunks=(8, 8, 8))
        DECODED.clear()
        with sharing_out(jax.devices()):
            view = nvc_jax.open(tmp_path / "v.zarr")
        whole = view.read().result()
        assert len(DECODED) < 20
        assert max(DECODED) == 3
        DECODED.clear()
        alone = nvc_jax.open(tmp_path / "v.zarr", cache_bytes=0)
        for region in (np.s_[:, :, :], np.s_[1:3, 7:10, 15:40]):
            np.testing.assert_array_equal(alone[region].read().result(), whole[region])
        damaged = tmp_path / "v.zarr" / "c" / "0" / "1" / "3"
        damaged.write_bytes(damaged.read_bytes()[:-3])
        with pytest.raises(ValueError, match=r"chunk \(0, 1, 3\)"):
            nvc_jax.open(tmp_path / "v.zarr").read().result()
    np.testing.assert_allclose(whole, volume, atol=4)
