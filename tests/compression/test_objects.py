from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from interruption import Interrupted, interrupt_after
from stored_files import read_files

from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.compression.objects import WrittenObjects, write_objects
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.container.creation import create
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.container.store import ContainerStore
from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.chunk_interfaces import ChunkEncoder, ChunkTarget, QualityTarget
from nvc_jax.core.shapes import check_shape
from nvc_jax.io.locations import open_directory

SHAPE, CHUNK = (20, 24, 28), (8, 8, 8)
N_CHUNKS = 3 * 3 * 4
TARGET = ChunkTarget(20.0, 3.0)


class ConstantEncoder(ChunkEncoder):
    """Encodes every chunk as a constant, whose error is the first voxel's number along z."""

    def __init__(self) -> None:
        self.regions: list[Region] = []
        self.targets: list[ChunkTarget] = []

    def resolve(self, target: QualityTarget) -> ChunkTarget:
        raise NotImplementedError

    def encode(self, region: Region, target: ChunkTarget) -> bytes:
        self.regions.append(region)
        self.targets.append(target)
        valid_shape = check_shape(tuple(part.stop - part.start for part in region))
        error = float(region[0].start)
        return Payload(PayloadKind.CONSTANT, valid_shape, error, b"\0\0").to_bytes(CHUNK)


PARTIAL = ".v.zarr.????????.partial"
"""Name of the directory that the container `v.zarr` is written to."""


def metadata_of(shard: tuple[int, int, int] | None = None) -> ContainerMetadata:
    return ContainerMetadata(
        shape=SHAPE,
        dtype="int16",
        chunk=CHUNK,
        shard=shard,
        model="none",
        sha256="0" * 64,
        target={"max_error": 20.0},
        minimum=0.0,
        maximum=1.0,
        max_error=20.0,
    )


def write(store: ContainerStore, part: tuple[int, int] = (0, 1), **options: object) -> WrittenObjects:
    defaults = {"skip_existing": False, "on_progress": None}
    return write_objects(store, ConstantEncoder(), lambda: TARGET, part, **defaults | options)


def test_every_chunk_is_encoded_once_with_the_target(tmp_path: Path) -> None:
    encoder = ConstantEncoder()
    with create(tmp_path / "v.zarr", metadata_of()) as store:
        write_objects(store, encoder, lambda: TARGET, (0, 1), skip_existing=False, on_progress=None)
    covered = np.zeros(SHAPE, int)
    for region in encoder.regions:
        covered[region] += 1
    assert (covered == 1).all()
    assert encoder.targets == [TARGET] * N_CHUNKS


@pytest.mark.parametrize("shard", [None, (16, 16, 16)])
def test_what_was_stored_is_reported(shard: tuple[int, int, int] | None, tmp_path: Path) -> None:
    with create(tmp_path / "v.zarr", metadata_of(shard)) as store:
        written = write(store)
    stored = read_files(tmp_path / "v.zarr" / "c")
    assert len(stored) == (N_CHUNKS if shard is None else 2 * 2 * 2)
    assert written == WrittenObjects(0, sum(map(len, stored.values())), 16.0)


@pytest.mark.parametrize("shard", [None, (16, 16, 16)])
def test_parts_share_the_objects(shard: tuple[int, int, int] | None, tmp_path: Path) -> None:
    with create(tmp_path / "expected.zarr", metadata_of(shard)) as store:
        expected = write(store)
    with create(tmp_path / "v.zarr", metadata_of(shard)) as store:
        assert not store.is_complete()
        parts = [write(store, (writer, 3), skip_existing=True) for writer in range(3)]
        assert store.is_complete()
    assert [part.n_skipped for part in parts] == [0, 0, 0]
    assert sum(part.stored_bytes for part in parts) == expected.stored_bytes
    assert read_files(tmp_path / "v.zarr") == read_files(tmp_path / "expected.zarr")


def test_a_part_without_objects_is_warned_about(tmp_path: Path) -> None:
    with (
        create(tmp_path / "v.zarr", metadata_of(), shared=True) as store,
        pytest.warns(UserWarning, match=rf"has no more than {N_CHUNKS} objects; take fewer parts"),
    ):
        write(store, (N_CHUNKS, N_CHUNKS + 1))


def test_undamaged_objects_are_kept(tmp_path: Path) -> None:
    with create(tmp_path / "v.zarr", metadata_of()) as store:
        write(store)
        (partial,) = tmp_path.glob(PARTIAL)
        directory = partial / "c"
        expected = read_files(directory)
        (directory / "0" / "1" / "2").write_bytes(b"damaged")
        (directory / "2" / "0" / "0").unlink()
        encoder = ConstantEncoder()
        written = write_objects(store, encoder, lambda: TARGET, (0, 1), skip_existing=True, on_progress=None)
        assert read_files(directory) == expected
    assert written.n_skipped == N_CHUNKS - 2
    assert written.max_error == 16.0
    assert written.stored_bytes == len(expected["0/1/2"]) + len(expected["2/0/0"])
    assert [tuple(part.start for part in region) for region in encoder.regions] == [(0, 8, 16), (16, 0, 0)]


class BatchingEncoder(ConstantEncoder):
    """Encodes chunks in batches of five, but for one chunk, which is an error."""

    batch_size = 5

    def __init__(self, broken: tuple[int, int, int] | None = None) -> None:
        super().__init__()
        self.batches: list[int] = []
        self._broken = broken

    def encode_together(self, regions: Sequence[Region], target: ChunkTarget) -> Iterator[bytes]:
        self.batches.append(len(regions))
        return (self._encode(region, target) for region in regions)

    def _encode(self, region: Region, target: ChunkTarget) -> bytes:
        if tuple(part.start for part in region) == self._broken:
            raise KeyError("broken")
        return self.encode(region, target)


def test_chunks_are_encoded_in_batches(tmp_path: Path) -> None:
    with create(tmp_path / "expected.zarr", metadata_of()) as store:
        expected = write(store)
    encoder = BatchingEncoder()
    with create(tmp_path / "v.zarr", metadata_of()) as store:
        written = write_objects(store, encoder, lambda: TARGET, (0, 1), skip_existing=False, on_progress=None)
    assert written == expected
    assert read_files(tmp_path / "v.zarr") == read_files(tmp_path / "expected.zarr")
    assert sorted(encoder.batches) == [1] + [5] * 7


def test_an_error_in_a_batch_loses_no_chunk_before_it(tmp_path: Path) -> None:
    encoder = BatchingEncoder(broken=(0, 16, 0))  # the ninth
    with pytest.raises(KeyError, match="broken"), create(tmp_path / "v.zarr", metadata_of()) as store:
        write_objects(store, encoder, lambda: TARGET, (0, 1), skip_existing=False, on_progress=None)
    (partial,) = tmp_path.glob(PARTIAL)
    assert len(read_files(partial / "c")) == 8


def test_progress_counts_the_bytes_of_the_part(tmp_path: Path) -> None:
    reports: list[ByteProgress] = []
    with create(tmp_path / "v.zarr", metadata_of()) as store:
        write(store, on_progress=reports.append)
        assert len(reports) == N_CHUNKS
        done = [report.done_bytes for report in reports]
        assert done == sorted(set(done))
        assert {report.total_bytes for report in reports} == {done[-1]} == {2 * 20 * 24 * 28}
        assert reports[-1].stored_bytes == sum(len(store.read(index)) for index in store.chunks())

        totals = []
        for writer in range(3):
            reports.clear()
            write(store, (writer, 3), on_progress=reports.append)
            assert reports[-1].done_bytes == reports[-1].total_bytes
            totals.append(reports[-1].total_bytes)
        assert sum(totals) == 2 * 20 * 24 * 28


@pytest.mark.parametrize(("shard", "n_chunks"), [(None, 2), ((16, 16, 16), 8 + 8)])
def test_an_object_is_stored_before_the_progress_of_its_last_chunk(
    shard: tuple[int, int, int] | None, n_chunks: int, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted), create(tmp_path / "v.zarr", metadata_of(shard)) as store:
        write(store, on_progress=interrupt_after(n_chunks))
    (partial,) = tmp_path.glob(PARTIAL)
    assert len(read_files(partial / "c")) == 2
    assert not (tmp_path / "v.zarr").exists()


def test_an_object_that_cannot_be_stored_is_an_error_that_names_the_container(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("a file where the objects' directory would be")
    store = ContainerStore(open_directory(tmp_path), metadata_of(), "v.zarr")
    with pytest.raises(OSError, match=r"v\.zarr"):
        write(store)


def test_errors_of_encoding_are_not_replaced_by_those_of_storing(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("a file where the objects' directory would be")
    store = ContainerStore(open_directory(tmp_path), metadata_of(), "v.zarr")
    with pytest.raises(Interrupted):
        write(store, on_progress=interrupt_after(1))
