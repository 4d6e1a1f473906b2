"""Volumes larger than memory: reads, programs and results do not grow with the volume."""

import itertools
from pathlib import Path

import jax
import numpy as np
import pytest
from compilations import compilations
from sources import HeldSource, NotedSource

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.core.chunk_interfaces import ValueRange
from nvc_jax.core.concurrency import count_workers
from nvc_jax.io.volumes import read_volume

VOLUME = read_volume(SAMPLE)[:61, :40, :44]
CHUNK = (16, 16, 24)
MARGINS = {"model": "two-wide-margin", "step": 0.3, "chunks": (8, 8, 8)}
MOST_AHEAD = 2 * count_workers()
"""Chunks that may be read while the first one is waited for."""
LONG_VOLUME = np.tile(read_volume(SAMPLE)[:8, 40:48, :64], (1, 1, 48))
LONG_CHUNK = (8, 8, 128)
"""Chunk of ``LONG_VOLUME`` that is a piece of the scan for its range, too."""


@pytest.mark.parametrize("target", [{"step": 0.02}, {"max_error": 3}, {"psnr": 38}, {"lossless": True}])
def test_sources_are_read_piece_by_piece(target: dict, tmp_path: Path) -> None:
    source = HeldSource(LONG_VOLUME, LONG_CHUNK)
    nvc_jax.compress(source.store, tmp_path / "v.zarr", chunks=LONG_CHUNK, **target)
    assert len(set(source.reads)) == 24
    assert len(source.n_read_ahead) >= 2  # in the scan, and when the chunks are encoded
    source.check_read_ahead(MOST_AHEAD)
    nvc_jax.verify(LONG_VOLUME, tmp_path / "v.zarr")


@pytest.mark.parametrize("model", ["zero-margin", "two-wide-margin"])
def test_sources_of_models_with_margins_are_read_piece_by_piece(model: str, tmp_path: Path) -> None:
    source = HeldSource(LONG_VOLUME, LONG_CHUNK)
    nvc_jax.compress(source.store, tmp_path / "v.zarr", chunks=LONG_CHUNK, model=model)
    assert len(set(source.reads)) == 24
    assert len(source.n_read_ahead) >= 2
    # The first chunk is read again for the margins of the second, which reach into the third.
    n_beyond = 0 if model == "zero-margin" else 2
    source.check_read_ahead(MOST_AHEAD + n_beyond)


def blocks_read(
    model: str, chunk: tuple, region: tuple, target: dict, volume: np.ndarray = VOLUME
) -> list[tuple]:
    """List the blocks of 8³ voxels that are read to encode one chunk, as often as they are read."""
    source = NotedSource(volume, (8, 8, 8))
    codec = nvc_jax.load_codec(model)
    encoder = codec.model.chunk_encoder(codec.params, source.store, chunk, ValueRange(0.0, 255.0))
    resolved = encoder.resolve(target)
    source.reads.clear()
    encoder.encode(region, resolved)
    return sorted(source.reads)


def blocks_within(region: tuple) -> list[tuple]:
    return list(itertools.product(*(range(part.start // 8, part.stop // 8) for part in region)))


@pytest.mark.parametrize("target", [{"step": 0.02}, {"max_error": 3}, {"lossless": True}])
def test_a_chunk_is_encoded_from_one_read_of_its_blocks(target: dict) -> None:
    region = np.s_[16:32, 0:16, 0:24]  # no step under a bound is chosen by it
    assert blocks_read("nvc-1", CHUNK, region, target, VOLUME[:32, :32, :24]) == blocks_within(region)


@pytest.mark.parametrize("target", [{"psnr": 38}, {"max_error": 3}])
def test_a_chunk_that_the_search_for_a_step_has_encoded_is_not_read_again(target: dict) -> None:
    region = np.s_[16:32, 16:32, 0:24]
    assert blocks_read("nvc-1", CHUNK, region, target, VOLUME[:32, :32, :24]) == []


@pytest.mark.parametrize(("model", "margin"), [("zero-margin", 0), ("two-wide-margin", 16)])
def test_a_chunk_is_encoded_from_its_own_block_and_the_margins_of_those_around_it(
    model: str, margin: int
) -> None:
    region = np.s_[32:40, 16:24, 16:24]
    surroundings = tuple(slice(part.start - margin, part.stop + margin) for part in region)
    expected = blocks_within(region) + blocks_within(surroundings)  # two reads
    assert blocks_read(model, (8, 8, 8), region, {"step": 0.02}) == sorted(expected)


@pytest.mark.parametrize(
    "options",
    [{"step": 0.02}, {"max_error": 3}, {"lossless": True}, MARGINS],
)
def test_more_chunks_take_no_more_programs(options: dict, tmp_path: Path) -> None:
    volume = VOLUME[:21, :40, :24].astype(np.float32)
    volume += np.random.default_rng(0).normal(0, 1, volume.shape).astype(np.float32)

    def run(part: np.ndarray) -> None:
        nvc_jax.compress(part, tmp_path / "v.zarr", **{"chunks": (16, 16, 16)} | options)
        nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "v.npy", overwrite=True)

    run(volume[:, :, :20] * 1.1)
    assert compilations(lambda: run(np.tile(volume, (1, 2, 1)))) == []


def test_compilations_are_counted() -> None:
    assert len(compilations(lambda: jax.jit(lambda x: x * 3.25 + 1.5)(np.ones(7, np.float32)))) == 1


@pytest.fixture(scope="module")
def containers_with_margins(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Containers of one volume in chunks of several shapes."""
    directory = tmp_path_factory.mktemp("margins")
    chunks = {"whole": (64, 40, 48), "cubes": (16, 16, 24), "beams": (8, 40, 8)}
    for name, chunk in chunks.items():
        nvc_jax.compress(VOLUME, directory / f"{name}.zarr", chunks=chunk, model="two-wide-margin")
    return [directory / f"{name}.zarr" for name in chunks]


@pytest.mark.parametrize("mode", ["blend", "crop"])
def test_margins_do_not_end_at_chunks(mode: str, containers_with_margins: list[Path]) -> None:
    decoded = [nvc_jax.open(path, mode=mode).read().result().astype(int) for path in containers_with_margins]
    assert np.abs(decoded[1] - decoded[0]).max() <= 1
    assert np.abs(decoded[2] - decoded[0]).max() <= 1
