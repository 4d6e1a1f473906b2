from pathlib import Path

import numpy as np
import pytest

from nvc_jax.io.atomic import check_replaceable, put_in_place, replacing
from nvc_jax.io.volumes import read_volume
from nvc_jax.io.writers import write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def test_directories_other_than_zarr_stores_are_not_replaced(tmp_path: Path) -> None:
    directory = tmp_path / "v.zarr"
    directory.mkdir()
    check_replaceable(directory)
    (directory / "thesis.txt").write_text("the only copy")
    with pytest.raises(FileExistsError, match="no Zarr store"):
        check_replaceable(directory)
    (directory / "zarr.json").write_text("{}")
    check_replaceable(directory)
    with pytest.raises(FileNotFoundError, match="the directory of"):
        check_replaceable(tmp_path / "nothing" / "v.zarr")


def test_a_failed_write_keeps_the_old_store(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    write_volume(path, VOLUME)
    with pytest.raises(OSError, match="disk full"), replacing(path):
        raise OSError("disk full")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass  # nothing was written: the very last rename fails
    np.testing.assert_array_equal(read_volume(path), VOLUME)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


def test_files_and_directories_replace_each_other(tmp_path: Path) -> None:
    path, partial = tmp_path / "v", tmp_path / "partial"
    for is_directory in (False, True, True, False, False):
        if is_directory:
            partial.mkdir()
            (partial / "inner").write_text("new")
        else:
            partial.write_text("new")
        put_in_place(partial, path)
        assert path.is_dir() == is_directory
        assert [entry.name for entry in tmp_path.iterdir()] == ["v"]
