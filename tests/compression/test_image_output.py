from pathlib import Path

import jax
import numpy as np
import pytest
import tensorstore as ts
import zarr
from model_kinds import registered
from tiny_model.batching import BATCHING_KIND, DECODED
from tiny_model.config import BlockMeanConfig

import nvc_jax
from nvc_jax.compression.image_output import Output, write_regions
from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import full_region
from nvc_jax.core.devices import sharing_out
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


def test_chunks_are_decompressed_in_batches_on_all_devices(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(8, 8, 77)).astype(np.float32)
    volume[0, 0, 20] = np.nan
    with registered(BATCHING_KIND):
        codec = nvc_jax.Codec(BlockMeanConfig(), {"pattern": np.zeros((2, 2, 2), np.float32)})
        nvc_jax.compress(volume, tmp_path / "v.zarr", model=codec, step=0.02, chunks=(8, 8, 8))
        expected = nvc_jax.open(tmp_path / "v.zarr").read().result()
        DECODED.clear()
        with sharing_out(jax.devices()):
            nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "plain.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "plain.npy"), expected)
    assert sorted(DECODED) == [3, 3, 3]  # and one alone


@pytest.mark.parametrize("chunk", [(8, 8, 16), (16, 8, 48), (24, 24, 48)])
def test_what_is_written_is_not_read_before(chunk: tuple[int, int, int], tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(21, 20, 44)).astype(np.float32)
    nvc_jax.compress(volume, tmp_path / "v.zarr", lossless=True, chunks=(8, 8, 16))
    written = np.zeros_like(volume)

    def read(*_: object) -> None:
        raise AssertionError

    def write(domain: ts.IndexDomain, values: np.ndarray, _: ts.VirtualChunkedWriteParameters) -> None:
        written[domain.index_exp] = values

    layout = ts.ChunkLayout(chunk_shape=tuple(map(min, chunk, volume.shape)))
    target = ts.virtual_chunked(read, write, dtype=ts.float32, shape=volume.shape, chunk_layout=layout)
    reader, done = Reader(tmp_path / "v.zarr"), list[nvc_jax.ByteProgress]()
    output = Output(reader, full_region(volume.shape), target, chunk)
    write_regions([output], volume.nbytes, tmp_path / "copy", done.append)
    np.testing.assert_array_equal(written, volume)
    assert len(done) == 1 + 3 * 3 * 3
    assert done[-1].done_bytes == volume.nbytes
