import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from container_metadata import CHUNK, METADATA, SHAPE, packed_payload
from model_kinds import registered
from tiny_model.config import BlockMeanConfig
from tiny_model.model import BlockMeanModel
from tiny_model.training import BlockMeanTraining

from nvc_jax.chunks.preview import block_means
from nvc_jax.container.creation import create
from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import chunk_region, full_region
from nvc_jax.models.embedded import embed_model
from nvc_jax.models.identity import model_sha256
from nvc_jax.models.registry import ModelKind

CONFIG, PARAMS = BlockMeanConfig(), {"pattern": np.zeros((2, 2, 2), np.float32)}
READABLE = dataclasses.replace(
    METADATA, embedded=embed_model(CONFIG, PARAMS), sha256=model_sha256(CONFIG, PARAMS)
)
VOLUME = np.random.default_rng(0).integers(-3, 40, SHAPE, dtype=np.int16)


@pytest.fixture(autouse=True)
def tiny() -> Iterator[None]:
    with registered(ModelKind(BlockMeanConfig, BlockMeanModel, BlockMeanTraining)):
        yield


def make_container(
    path: Path, metadata: ContainerMetadata = READABLE, *, payload_shape: tuple[slice, ...] = ()
) -> Path:
    with create(path, metadata) as store:
        for index in store.chunks():
            values = VOLUME[chunk_region(index, metadata.chunk, metadata.shape)][payload_shape]
            store.write_object(index, {index: packed_payload(np.ascontiguousarray(values))})
    return path


def test_regions_are_those_of_the_volume(tmp_path: Path) -> None:
    reader = Reader(make_container(tmp_path / "v.zarr"))
    assert (reader.shape, reader.chunk, reader.dtype) == (SHAPE, CHUNK, np.dtype("int16"))
    for region in (full_region(SHAPE), (slice(1, 3), slice(0, 8), slice(7, 18))):
        for on_devices in (False, True):
            np.testing.assert_array_equal(reader.decode(region, on_devices=on_devices), VOLUME[region])


def test_chunks_are_decoded_together_as_alone(tmp_path: Path) -> None:
    path = make_container(tmp_path / "v.zarr")
    reader = Reader(path)
    assert reader.batch_size == 1  # on CPUs
    indices = [index for index, *_ in reader.pieces(full_region(SHAPE))]
    for index, values in zip(indices, reader.decode_chunks(indices), strict=True):
        np.testing.assert_array_equal(values, reader.decode_chunk(index))
    damaged = path / "c" / "0" / "0" / "1"
    damaged.write_bytes(damaged.read_bytes()[:-3])
    with pytest.raises(FormatError, match=r"\(0, 0, 1\)"):
        Reader(path).decode_chunks(indices)


def test_a_region_touches_only_its_chunks(tmp_path: Path) -> None:
    path = make_container(tmp_path / "v.zarr")
    (path / "c" / "0" / "0" / "2").unlink()
    reader = Reader(path)
    region = (slice(0, 2), slice(0, 2), slice(6, 10))
    assert [index for index, *_ in reader.pieces(region)] == [(0, 0, 0), (0, 0, 1)]
    np.testing.assert_array_equal(reader.decode(region), VOLUME[region])
    with pytest.raises(FormatError, match=r"chunk \(0, 0, 2\) .* is missing"):
        reader.decode(full_region(SHAPE))


def test_previews_are_means_of_blocks(tmp_path: Path) -> None:
    reader = Reader(make_container(tmp_path / "v.zarr"), level="preview")
    assert (reader.shape, reader.chunk) == ((1, 1, 3), (1, 1, 1))
    np.testing.assert_array_equal(reader.decode(full_region(reader.shape)), block_means(VOLUME))


def test_chunks_of_other_sizes_are_damaged(tmp_path: Path) -> None:
    reader = Reader(make_container(tmp_path / "v.zarr", payload_shape=(slice(0, 3),)))
    message = r"chunk \(0, 0, 1\) .* is damaged: it holds \(3, 8, 8\) voxels; there are \(5, 8, 8\)"
    with pytest.raises(FormatError, match=message):
        reader.decode_chunk((0, 0, 1))


def test_unknown_modes_and_levels_are_named(tmp_path: Path) -> None:
    path = make_container(tmp_path / "v.zarr")
    with pytest.raises(ValueError, match=r"`mode` \(='average'\)"):
        Reader(path, "average")
    with pytest.raises(ValueError, match=r"`level` \(='half'\) must be one of full, preview"):
        Reader(path, level="half")


def test_chunks_without_whole_blocks_have_no_preview(tmp_path: Path) -> None:
    path = make_container(tmp_path / "v.zarr", dataclasses.replace(READABLE, chunk=(8, 8, 12)))
    np.testing.assert_array_equal(Reader(path).decode(full_region(SHAPE)), VOLUME)
    with pytest.raises(ValueError, match="are no multiples of 8"):
        Reader(path, level="preview")


def test_errors_of_the_model_name_the_container(tmp_path: Path) -> None:
    path = make_container(tmp_path / "v.zarr", dataclasses.replace(READABLE, sha256="0" * 64))
    with pytest.raises(FormatError, match=r"v\.zarr`: the embedded model is not the one"):
        Reader(path)
