"""Containers as zarr-python, dask and xarray see them: the same values as through TensorStore."""

from collections.abc import Sequence
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from drawn_params import draw_params
from model_kinds import registered
from stored_metadata import CONFIGURATION, change_metadata
from tiny_model.batching import BATCHING_KIND, DECODED
from tiny_model.config import BlockMeanConfig
from tiny_model.model import BlockMeanModel
from tiny_model.training import BlockMeanTraining
from tiny_model.transform_coder import BlockMeanCoder
from zarr.storage import ZipStore

import nvc_jax
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.core.chunk_interfaces import ChunkDecoder, ChunkFormat
from nvc_jax.core.parameters import Params
from nvc_jax.io.volumes import read_volume
from nvc_jax.models.registry import ModelKind

VOLUME = read_volume(SAMPLE)[:21, :30, :43].astype(np.float32)
VOLUME[3:9, 4:7, :5] = np.nan
CHUNK = (16, 16, 24)
N_CHUNKS = 2 * 2 * 2
REGIONS = [np.s_[:, :, :], np.s_[0:1, 0:1, 0:1], np.s_[3:19, 15:17, 20:43], np.s_[20:, 29:, 42:]]
TARGETS = [
    {"step": 0.02},
    {"max_error": 0.5},
    {"lossless": True},
    {"model": "zero-margin"},
    {"model": "zero-margin", "step": 0.5},
]


@pytest.mark.parametrize("shard", [None, (16, 32, 48)])
@pytest.mark.parametrize("target", TARGETS)
def test_everyone_reads_the_same(target: dict, shard: tuple | None, tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "scans.zarr")
    path = tmp_path / "scans.zarr" / "density"
    nvc_jax.compress(VOLUME, path, chunks=CHUNK, shards=shard, **target)
    expected = nvc_jax.open(path).read().result()
    array = group["density"]
    assert array.chunks == CHUNK
    lazy = da.from_zarr(path)
    data = xr.open_zarr(tmp_path / "scans.zarr", consolidated=False)["density"]
    assert data.dims == ("z", "y", "x")
    for region in REGIONS:
        np.testing.assert_array_equal(array[region], expected[region])
        np.testing.assert_array_equal(lazy[region].compute(), expected[region])
        np.testing.assert_array_equal(data[region].to_numpy(), expected[region])


def test_a_zip_file_is_read_too(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr.zip", step=0.02, chunks=CHUNK)
    with ZipStore(tmp_path / "v.zarr.zip", mode="r") as store:
        decoded = zarr.open_array(store, mode="r")[:]
    np.testing.assert_array_equal(decoded, nvc_jax.open(tmp_path / "v.zarr.zip").read().result())


def test_embedded_models_are_found(tmp_path: Path) -> None:
    config = DenseConfig(block_size=4, margin=0, latent_dim=3, hidden_sizes=(8,))
    codec = nvc_jax.Codec(config, draw_params(config))
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", model=codec, chunks=(16, 16, 16))
    array = zarr.open_array(tmp_path / "v.zarr", mode="r")
    np.testing.assert_array_equal(array[:], nvc_jax.open(tmp_path / "v.zarr").read().result())


def test_margins_are_cropped(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", model="two-wide-margin", chunks=CHUNK)
    array = zarr.open_array(tmp_path / "v.zarr", mode="r")
    cropped = nvc_jax.open(tmp_path / "v.zarr", mode="crop").read().result()
    np.testing.assert_array_equal(array[:], cropped)


BATCHES: list[int] = []
"""Numbers of chunks that were decoded together, since a test cleared them."""


class CountingCodec(ChunkCodec):
    """A chunk codec that notes how many chunks it decodes together."""

    def decode_many(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        BATCHES.append(len(payloads))
        return super().decode_many(payloads)


class CountingModel(BlockMeanModel):
    """A model whose chunk decoders note how many chunks they decode together."""

    def chunk_decoder(self, params: Params, chunk_format: ChunkFormat, mode: str) -> ChunkDecoder:
        coder = BlockMeanCoder(params, chunk_format.chunk)
        return CountingCodec(coder, chunk_format.chunk, chunk_format.dtype)


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_chunks_are_decoded_in_batches(batch_size: int, tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    with registered(ModelKind(BlockMeanConfig, CountingModel, BlockMeanTraining)):
        codec = nvc_jax.Codec(BlockMeanConfig(), {"pattern": np.zeros((2, 2, 2), np.float32)})
        nvc_jax.compress(VOLUME, path, model=codec, step=0.02, chunks=CHUNK)
        expected = nvc_jax.open(path).read().result()
        BATCHES.clear()
        with zarr.config.set({"codec_pipeline.batch_size": batch_size}):
            decoded = zarr.open_array(path, mode="r")[:]
    np.testing.assert_array_equal(decoded, expected)
    assert sum(BATCHES) == N_CHUNKS
    assert max(BATCHES) == min(batch_size, N_CHUNKS)


def test_chunks_that_are_handed_over_one_by_one_are_decoded_together(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    volume = np.random.default_rng(0).normal(size=(8, 8, 800)).astype(np.float32)
    with registered(BATCHING_KIND):
        codec = nvc_jax.Codec(BlockMeanConfig(), {"pattern": np.zeros((2, 2, 2), np.float32)})
        nvc_jax.compress(volume, path, model=codec, step=0.02, chunks=(8, 8, 8))
        expected = nvc_jax.open(path).read().result()
        DECODED.clear()
        np.testing.assert_array_equal(zarr.open_array(path, mode="r")[:], expected)
        assert 1 < max(DECODED) <= 3
        damaged = path / "c" / "0" / "0" / "7"
        damaged.write_bytes(damaged.read_bytes()[:-3])
        with pytest.raises(ValueError, match=r"chunk \(0, 0, 7\)"):
            zarr.open_array(path, mode="r")[:]


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_batches_of_any_size_decode_to_the_same(batch_size: int, tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", step=0.02, chunks=CHUNK)
    with zarr.config.set({"codec_pipeline.batch_size": batch_size}):
        decoded = zarr.open_array(tmp_path / "v.zarr", mode="r")[:]
    np.testing.assert_array_equal(decoded, nvc_jax.open(tmp_path / "v.zarr").read().result())


def test_damage_and_other_versions_are_named(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", step=0.02, chunks=CHUNK)
    chunk = tmp_path / "v.zarr" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-7])
    with pytest.raises(ValueError, match="checksum"):
        zarr.open_array(tmp_path / "v.zarr", mode="r")[:4]
    change_metadata(tmp_path / "v.zarr", (*CONFIGURATION, "version"), 99)
    with pytest.raises(nvc_jax.FormatError, match="upgrade"):
        zarr.open_array(tmp_path / "v.zarr", mode="r")
