import threading
from pathlib import Path

import numpy as np
import pytest
from sources import NotedSource

from nvc_jax.chunks.value_range import find_value_range
from nvc_jax.compression.shared_scan import SharedScan, scan_share
from nvc_jax.compression.source import scan_source
from nvc_jax.container.notes import Notes, leaving_notes

VOLUME = np.random.default_rng(0).normal(size=(60, 140, 300)).astype(np.float32)
VOLUME[:3] = -9999
CHUNK = (8, 128, 128)
ALL_CHUNKS = sorted(np.ndindex(8, 2, 3))


def scan(source: NotedSource, part: tuple[int, int], directory: Path) -> SharedScan:
    with leaving_notes(directory) as notes:
        return scan_share(source.store, CHUNK, (), part, notes)


def check(found: SharedScan) -> None:
    value_range, checksums = scan_source(NotedSource(VOLUME, CHUNK).store, CHUNK, ())
    assert found.value_range == value_range == find_value_range([VOLUME])
    assert value_range.missing_values == (-9999.0,)
    np.testing.assert_array_equal(found.checksums, checksums)


def test_writers_that_start_together_each_find_what_one_alone_finds(tmp_path: Path) -> None:
    sources = [NotedSource(VOLUME, CHUNK) for _ in range(3)]
    found: dict[int, SharedScan] = {}
    began, ended = threading.Barrier(3, timeout=20), threading.Barrier(3, timeout=20)

    def work(number: int) -> None:
        with leaving_notes(tmp_path / "shared") as notes:
            began.wait()
            found[number] = scan_share(sources[number].store, CHUNK, (), (number, 3), notes)
            ended.wait()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, source in enumerate(sources):
        check(found[number])
        assert found[number].own == set(source.reads)
    assert set().union(*(source.reads for source in sources)) == set(ALL_CHUNKS)
    assert not (tmp_path / "shared").exists()


def test_a_writer_whose_others_left_notes_reads_only_its_share(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    notes = Notes(tmp_path / "shared")
    alone, second = NotedSource(VOLUME, CHUNK), NotedSource(VOLUME, CHUNK)
    check(scan_share(alone.store, CHUNK, (), (0, 2), notes))
    assert sorted(alone.reads) == ALL_CHUNKS
    found = scan_share(second.store, CHUNK, (), (1, 2), notes)
    check(found)
    assert found.own == set(second.reads)
    assert 0 < len(second.reads) < len(ALL_CHUNKS)
    assert len(notes.names()) == 2


def test_a_writer_alone_reads_everything(tmp_path: Path) -> None:
    source = NotedSource(VOLUME, CHUNK)
    check(scan(source, (2, 100), tmp_path / "shared"))
    assert sorted(source.reads) == ALL_CHUNKS
    assert scan_share(source.store, CHUNK, (), None, None).own is None


@pytest.mark.parametrize("damaged", [b"", b"\n", b"{}\n1234", b'{"n_voxels": 1'])
def test_notes_that_cannot_be_read_count_for_nothing(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    notes = Notes(tmp_path / "shared")
    scan_share(NotedSource(VOLUME, CHUNK).store, CHUNK, (), (0, 2), notes)
    for name in notes.names():
        text = notes.read(name)
        # As many checksums as there were, behind something else.
        stored = text.partition(b"\n")[2]
        notes.leave(name, damaged + (stored if damaged == b"\n" else b""))
    source = NotedSource(VOLUME, CHUNK)
    check(scan_share(source.store, CHUNK, (), (1, 2), notes))
    assert sorted(source.reads) == ALL_CHUNKS
