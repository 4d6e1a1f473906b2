import shutil
from pathlib import Path

import numpy as np
import pytest
from container_metadata import CHUNK, METADATA, SHAPE, packed_payload
from interruption import Interrupted

from nvc_jax.container.creation import claim, create
from nvc_jax.container.store import ContainerStore, open_container
from nvc_jax.core.chunk_grid import chunk_valid_shape

PARTIAL = ".v.zarr.????????.partial"


def write(store: ContainerStore, value: int, numbers: tuple[int, ...] = (0, 1, 2)) -> None:
    for x in numbers:
        values = np.full(chunk_valid_shape((0, 0, x), CHUNK, SHAPE), value, np.int16)
        store.write_object((0, 0, x), {(0, 0, x): packed_payload(values)})


def write_and_stop(path: Path, *, shared: bool = False) -> None:
    with create(path, METADATA, shared=shared) as store:
        write(store, 7, (0, 1))
        raise Interrupted


def payloads_of(path: Path) -> list[bytes]:
    store = open_container(path)
    return [store.read(index) for index in store.chunks()]


def test_of_two_runs_the_second_is_refused_and_the_first_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    for resume in (False, True):
        with create(path, METADATA) as store:
            write(store, 1, (0,))
            with pytest.raises(BlockingIOError, match=r"another run is writing to `.*v.zarr`"):
                create(path, METADATA, resume=resume).__enter__()
            write(store, 1, (1, 2))
        assert len(set(payloads_of(path)[:2])) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


def overtaken(path: Path) -> None:
    """Write a container, while a second run, which does not see the lock, writes another one."""
    with create(path, METADATA) as store:
        write(store, 1, (0, 1))
        path.with_name(f".{path.name}.nvc-lock").unlink()
        with create(path, METADATA) as second:
            write(second, 2)
        write(store, 1, (2,))


@pytest.mark.parametrize("name", ["v.zarr", "v.zip"])
def test_where_locks_are_not_seen_one_of_two_runs_wins_whole(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(FileExistsError, match="another run has removed what this one wrote"):
        overtaken(path)
    winner = payloads_of(path)
    with create(tmp_path / "w.zarr", METADATA) as store:
        write(store, 2)
    assert winner == payloads_of(tmp_path / "w.zarr")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([name, "w.zarr"])


def test_an_interrupted_run_says_what_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Interrupted) as info:
        write_and_stop(tmp_path / "v.zarr")
    (note,) = info.value.__notes__
    assert "2 of 3 objects are kept in" in note
    assert "`resume` (`--resume`) continues there" in note
    (partial,) = tmp_path.glob(PARTIAL)
    assert str(partial) in note


def test_objects_without_metadata_are_not_continued(tmp_path: Path) -> None:
    """They may be what is left of a run of another source that was being removed."""
    path = tmp_path / "v.zarr"
    with pytest.raises(Interrupted):
        write_and_stop(path)
    (partial,) = tmp_path.glob(PARTIAL)
    (partial / "zarr.json").unlink()
    with create(path, METADATA, resume=True) as store:
        assert not any(store.has_object(index) for index in store.objects())
        write(store, 1)
    with pytest.raises(Interrupted):
        write_and_stop(path, shared=True)
    (tmp_path / ".v.zarr.partial" / "zarr.json").unlink()
    with pytest.raises(FileExistsError, match="holds `c`; move it away"):
        create(path, METADATA, shared=True).__enter__()


def test_a_users_directory_of_the_shared_name_stays(tmp_path: Path) -> None:
    directory = tmp_path / ".v.zarr.partial"
    directory.mkdir()
    (directory / "thesis.txt").write_text("the only copy")
    for options in ({"shared": True}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(FileExistsError, match=r"holds `thesis.txt`; move it away"):
            create(tmp_path / "v.zarr", METADATA, **options).__enter__()
    assert (directory / "thesis.txt").read_text() == "the only copy"


def test_work_of_several_writers_is_not_thrown_away_by_one(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    with pytest.raises(Interrupted):
        write_and_stop(path, shared=True)
    with pytest.raises(FileExistsError, match="was begun by several writers"):
        create(path, METADATA).__enter__()
    with create(path, METADATA, resume=True) as store:
        assert [store.has_object(index) for index in store.objects()] == [True, True, False]
        write(store, 7, (2,))
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


def test_a_container_that_changes_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    with create(path, METADATA) as store:
        write(store, 1)

    def replace() -> None:
        with create(path, METADATA) as store:
            write(store, 2)
            (path / "notes.txt").write_text("the only copy")

    with pytest.raises(FileExistsError, match=r"holds `notes.txt`") as info:
        replace()
    assert "3 of 3 objects are kept" in info.value.__notes__[0]
    assert (path / "notes.txt").read_text() == "the only copy"
    (path / "notes.txt").unlink()
    with create(path, METADATA, resume=True) as store:
        assert all(store.has_object(index) for index in store.objects())


def test_members_of_a_group_stay(tmp_path: Path) -> None:
    group = tmp_path / "scans.zarr"
    group.mkdir()
    (group / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    for name in ("density", "temperature", "density"):
        with create(group / name, METADATA) as store:
            write(store, 1)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="is a Zarr group, which holds"):
            claim(group, overwrite=overwrite).__enter__()
    assert {entry.name for entry in group.iterdir()} == {"zarr.json", "density", "temperature"}


def test_names_that_cannot_be_made_are_named() -> None:
    with pytest.raises(OSError, match=r"^`/proc/v.zarr` cannot be written"):
        claim(Path("/proc/v.zarr")).__enter__()


def test_an_empty_directory_becomes_a_container(tmp_path: Path) -> None:
    (tmp_path / "v.zarr").mkdir()
    with create(tmp_path / "v.zarr", METADATA) as store:
        write(store, 1)
    assert len(payloads_of(tmp_path / "v.zarr")) == 3
    shutil.rmtree(tmp_path / "v.zarr")
