from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts

from nvc_jax.container.destinations import check_apart, check_destination, check_stores_apart
from nvc_jax.io.volumes import open_volume
from nvc_jax.io.writers import write_volume


@pytest.mark.parametrize("name", ["new.zarr", "file", "empty", "store.zarr", "new.zip", "file.zip"])
def test_containers_may_be_made_where_nothing_is_lost(name: str, tmp_path: Path) -> None:
    for file in ("file", "file.zip"):
        (tmp_path / file).write_text("old")
    for directory in ("empty", "store.zarr"):
        (tmp_path / directory).mkdir()
    (tmp_path / "store.zarr" / "zarr.json").write_text("{}")
    check_destination(tmp_path / name)
    check_destination(str(tmp_path / name))


@pytest.mark.parametrize(
    "location", ["memory://a/", "s3://bucket/v.zarr/", {"driver": "memory", "path": "a/"}]
)
def test_containers_may_be_made_in_object_stores(location: Any) -> None:
    check_destination(location)


def test_directories_of_other_files_are_kept(tmp_path: Path) -> None:
    for name in ("thesis", "thesis.zip"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("the only copy")
    with pytest.raises(FileExistsError, match="is a directory that is no Zarr store"):
        check_destination(tmp_path / "thesis")
    with pytest.raises(FileExistsError, match="is a directory; it will not be replaced by a file"):
        check_destination(tmp_path / "thesis.zip")
    for name in ("v.zarr", "v.zip"):
        with pytest.raises(FileNotFoundError, match="the directory of"):
            check_destination(tmp_path / "nothing" / name)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://host/v.zarr", "is read-only"),
        ("https://host/v.zarr", "is read-only"),
        ({"driver": "http", "base_url": "http://host"}, "is read-only"),
        ({"driver": "zarr3", "kvstore": {"driver": "zip", "base": "memory://a"}}, "is read-only"),
        ("s3://bucket/v.zip", "are only written to the file system"),
        ({"driver": "zarr3", "kvstore": "s3://bucket/v.zip"}, "are only written to the file system"),
    ],
)
def test_places_that_are_not_written_to_are_named(location: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_destination(location)


def test_a_source_is_not_its_own_destination(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    for source, destination in [
        (path, path),
        (str(path), path),
        (path, tmp_path / "." / "a" / ".." / "v.zarr"),
        (f"file://{path}", str(path)),
    ]:
        with pytest.raises(ValueError, match="is the source itself"):
            check_apart(source, destination)
    check_apart(path, tmp_path / "w.zarr")
    check_apart(path, "memory://v.zarr")
    check_apart(np.zeros((2, 2, 2)), path)


def test_a_source_does_not_lie_within_its_destination(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.zarr", np.zeros((4, 4, 4), np.uint8))
    volume = open_volume(tmp_path / "v.zarr")
    for destination in (tmp_path, tmp_path / "v.zarr"):
        with pytest.raises(ValueError, match="holds the source itself"):
            check_stores_apart(volume, destination)
    check_stores_apart(volume, tmp_path / "w.zarr")
    check_stores_apart(volume, "memory://v.zarr/")
    check_stores_apart(ts.array(np.zeros((4, 4, 4))), tmp_path)
