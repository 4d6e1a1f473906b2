import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
from container_metadata import CHUNK, METADATA, SHAPE, packed_payload

from nvc_jax.container.creation import create
from nvc_jax.container.destinations import check_apart, check_destination, check_keys, check_stores_apart
from nvc_jax.core.chunk_grid import chunk_valid_shape
from nvc_jax.io.locations import open_location
from nvc_jax.io.raw import RawFile
from nvc_jax.io.volumes import open_volume
from nvc_jax.io.writers import write_volume


def make_container(path: Path) -> None:
    with create(path, METADATA) as store:
        for x in range(3):
            values = np.zeros(chunk_valid_shape((0, 0, x), CHUNK, SHAPE), np.int16)
            store.write_object((0, 0, x), {(0, 0, x): packed_payload(values)})


@pytest.mark.parametrize("name", ["new.zarr", "empty", "new.zip", "v.zarr", "v.zip", "V.ZIP"])
def test_containers_may_be_made_where_nothing_is_lost(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for container in ("v.zarr", "v.zip", "V.ZIP"):
        make_container(tmp_path / container)
    check_destination(tmp_path / name)
    check_destination(str(tmp_path / name))


@pytest.mark.parametrize("name", ["b.npy", "b.zip", "b", "plain.zarr", "group.zarr", "damaged.zarr"])
def test_other_things_are_replaced_only_where_the_user_says_so(name: str, tmp_path: Path) -> None:
    for file in ("b.npy", "b.zip", "b"):
        (tmp_path / file).write_text("a volume")
    write_volume(tmp_path / "plain.zarr", np.zeros((4, 4, 4), np.uint8))
    for directory, document in (("group.zarr", '{"node_type": "group"}'), ("damaged.zarr", '{"codecs": [')):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "zarr.json").write_text(document)
    with pytest.raises(FileExistsError, match=rf"{name}. is an existing .*`--overwrite`"):
        check_destination(tmp_path / name)
    check_destination(tmp_path / name, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "mask.zarr/zarr.json", "c/0/0/notes"])
def test_containers_that_hold_more_are_kept(name: str, overwrite: bool, tmp_path: Path) -> None:
    make_container(tmp_path / "v.zarr")
    (tmp_path / "v.zarr" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "v.zarr" / name).write_text("the only copy")
    with pytest.raises(FileExistsError, match="which is no part of a Zarr array"):
        check_destination(tmp_path / "v.zarr", overwrite)


def test_zip_files_that_hold_more_are_kept(tmp_path: Path) -> None:
    make_container(tmp_path / "v.zip")
    with zipfile.ZipFile(tmp_path / "v.zip", "a") as archive:
        archive.writestr("thesis.txt", "the only copy")
    with pytest.raises(FileExistsError, match="is an existing file"):
        check_destination(tmp_path / "v.zip")


def test_keys_of_other_things_are_kept() -> None:
    objects = open_location("memory://destinations/")
    for key in ("zarr.json", "density/zarr.json"):
        objects.write(key, b'{"node_type": "group"}').result()
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"holds `density/zarr.json`"):
            check_keys(objects, "memory://destinations/", overwrite)
    objects.write("density/zarr.json", None).result()
    with pytest.raises(FileExistsError, match="something that is no container"):
        check_keys(objects, "memory://destinations/", False)
    assert check_keys(objects, "memory://destinations/", True) == [b"zarr.json"]


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
        check_destination(tmp_path / "thesis.zip", overwrite=True)
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
    (tmp_path / "v.h5").write_text("")
    (tmp_path / "link.zarr").symlink_to(path)
    spec = {"driver": "file", "path": f"{path}/"}
    for source, destination in [(f"{tmp_path}/v.h5::/a", tmp_path / "v.h5"), (spec, path), (path, spec)]:
        with pytest.raises(ValueError, match="is the source itself"):
            check_apart(source, destination)
    with pytest.raises(ValueError, match="is the source itself"):
        check_apart(path, tmp_path / "link.zarr")
    np.save(tmp_path / "v.npy", np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="is the source itself"):
        check_apart(np.load(tmp_path / "v.npy", mmap_mode="r"), tmp_path / "v.npy")
    with pytest.raises(ValueError, match="is the source itself"):
        check_apart(RawFile(tmp_path / "v.f32", (2, 2, 2)), tmp_path / "v.f32")
    check_apart(path, tmp_path / "w.zarr")
    check_apart(path, "memory://v.zarr")
    check_apart(np.zeros((2, 2, 2)), path)


def test_source_and_destination_do_not_hold_each_other(tmp_path: Path) -> None:
    outer, inner = tmp_path / "v.zarr", tmp_path / "v.zarr" / "a" / "w.npy"
    with pytest.raises(ValueError, match="holds the source itself"):
        check_apart(inner, outer)
    with pytest.raises(ValueError, match="lies inside the source"):
        check_apart(outer, inner)
    check_apart(tmp_path / "v.zarr-2", outer)


def test_a_source_does_not_lie_within_its_destination(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.zarr", np.zeros((4, 4, 4), np.uint8))
    volume = open_volume(tmp_path / "v.zarr")
    for destination in (tmp_path, tmp_path / "v.zarr"):
        with pytest.raises(ValueError, match="holds the source itself"):
            check_stores_apart(volume, destination)
    with pytest.raises(ValueError, match="lies inside the source"):
        check_stores_apart(volume, tmp_path / "v.zarr" / "new")
    check_stores_apart(volume, tmp_path / "w.zarr")
    check_stores_apart(volume, "memory://v.zarr/")
    check_stores_apart(ts.array(np.zeros((4, 4, 4))), tmp_path)
