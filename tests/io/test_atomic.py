from pathlib import Path

import numpy as np
import pytest

from nvc_jax.io.atomic import list_leftovers, naming, own_name, put_in_place, remove_leftovers, replacing
from nvc_jax.io.replaceable import identify
from nvc_jax.io.volumes import read_volume
from nvc_jax.io.writers import write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def write(path: Path, text: str, is_directory: bool = False) -> None:
    if is_directory:
        path.mkdir()
        path /= "zarr.json"
    path.write_text(text)


def test_a_failed_write_keeps_the_old_store(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    write_volume(path, VOLUME)
    with pytest.raises(OSError, match="disk full"), replacing(path, overwrite=True):
        raise OSError("disk full")
    with pytest.raises(FileNotFoundError), replacing(path, overwrite=True):
        pass  # nothing was written: the very last rename fails
    np.testing.assert_array_equal(read_volume(path), VOLUME)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


def test_files_and_directories_replace_each_other(tmp_path: Path) -> None:
    path, partial = tmp_path / "v", tmp_path / "partial"
    for is_directory in (False, True, True, False, False):
        write(partial, "new", is_directory)
        put_in_place(partial, path, identify(path))
        assert path.is_dir() == is_directory
        assert [entry.name for entry in tmp_path.iterdir()] == ["v"]


def replace(path: Path, is_directory: bool, theirs: Path) -> None:
    """Write to a path at which someone else writes meanwhile."""
    with replacing(path, overwrite=True) as partial:
        write(partial, "ours", is_directory)
        theirs.write_text("theirs")


@pytest.mark.parametrize("is_directory", [False, True])
def test_what_came_meanwhile_is_not_replaced(is_directory: bool, tmp_path: Path) -> None:
    path = tmp_path / "v"
    with pytest.raises(FileExistsError, match="made or changed by someone else"):
        replace(path, is_directory, path)
    assert path.read_text() == "theirs"
    assert [entry.name for entry in tmp_path.iterdir()] == ["v"]


def test_what_changed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    write_volume(path, VOLUME)
    with pytest.raises(FileExistsError, match="made or changed by someone else"):
        replace(path, True, path / "notes.txt")
    assert (path / "notes.txt").read_text() == "theirs"


def test_of_two_writers_the_second_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v"
    with replacing(path) as partial:
        write(partial, "first")
        with pytest.raises(BlockingIOError, match="another run is writing"), replacing(path):
            pass
    assert path.read_text() == "first"


def test_what_killed_runs_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "v"
    left, other = own_name(path, "tmp"), own_name(tmp_path / "w", "tmp")
    for directory in (left, other, tmp_path / ".v.mine.tmp"):
        write(directory, "half", is_directory=True)
    assert list_leftovers(path, "tmp") == [left]
    with replacing(path) as partial:
        write(partial, "new")
    assert {entry.name for entry in tmp_path.iterdir()} == {"v", other.name, ".v.mine.tmp"}
    remove_leftovers(tmp_path / "w", "tmp")
    assert not other.exists()


def test_errors_name_the_path_as_the_user_wrote_it() -> None:
    with pytest.raises(PermissionError, match=r"`out.zarr` cannot be written: .*denied"), naming("out.zarr"):
        raise PermissionError(13, "Permission denied", ".out.zarr.12345678.partial")
    with pytest.raises(OSError, match=r"`out.zarr` cannot be written: .*No space left"), naming("out.zarr"):
        raise ValueError("RESOURCE_EXHAUSTED: No space left on device")
