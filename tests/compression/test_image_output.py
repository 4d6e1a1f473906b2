from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import zarr
from model_kinds import registered
from tiny_model.config import BlockMeanConfig
from tiny_model.model import BlockMeanModel
from tiny_model.training import BlockMeanTraining
from tiny_model.transform_coder import BlockMeanCoder

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.core.chunk_interfaces import ChunkDecoder, ChunkFormat
from nvc_jax.core.devices import sharing_out
from nvc_jax.core.parameters import Params
from nvc_jax.io.volumes import open_volume, read_metadata
from nvc_jax.models.registry import ModelKind

BATCHES: list[int] = []
"""Numbers of chunks that were decoded together."""


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


class BatchingCodec(ChunkCodec):
    """A chunk codec of batches of three chunks, as a device would take them."""

    batch_size = 3

    def decode_together(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        BATCHES.append(len(payloads))
        return super().decode_together(payloads)


class BatchingModel(BlockMeanModel):
    """A model whose chunks are decoded in batches."""

    def chunk_decoder(self, params: Params, chunk_format: ChunkFormat, mode: str) -> ChunkDecoder:
        coder = BlockMeanCoder(params, chunk_format.chunk)
        return BatchingCodec(coder, chunk_format.chunk, chunk_format.dtype)


def test_chunks_are_decompressed_in_batches_on_all_devices(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(8, 8, 77)).astype(np.float32)
    volume[0, 0, 20] = np.nan
    with registered(ModelKind(BlockMeanConfig, BatchingModel, BlockMeanTraining)):
        codec = nvc_jax.Codec(BlockMeanConfig(), {"pattern": np.zeros((2, 2, 2), np.float32)})
        nvc_jax.compress(volume, tmp_path / "v.zarr", model=codec, step=0.02, chunks=(8, 8, 8))
        expected = nvc_jax.open(tmp_path / "v.zarr").read().result()
        BATCHES.clear()
        with sharing_out(jax.devices()):
            nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "plain.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "plain.npy"), expected)
    assert sorted(BATCHES) == [3, 3, 3]  # and one alone
