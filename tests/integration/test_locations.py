"""Places where containers and sources lie: directories, ``.zip`` files, web servers, object stores."""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
from interruption import Interrupted, interrupt_after
from sample_volume import CHUNK, SHARD, VOLUME
from stored_files import read_files

import nvc_jax
from nvc_jax.io.volumes import open_volume, read_volume
from nvc_jax.io.writers import write_volume


def test_a_zip_file_holds_a_container(plain: Path, decoded: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "v.zarr.zip"
    for _ in range(2):  # the second replaces the first
        nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr.zip"]
    np.testing.assert_array_equal(nvc_jax.open(path).read().result(), decoded)
    assert nvc_jax.info(path) == nvc_jax.info(plain)
    nvc_jax.decompress(path, tmp_path / "v.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), decoded)
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(nvc_jax.FormatError, match="damaged"):
        nvc_jax.open(damaged)


@pytest.mark.parametrize("name", ["new.zarr", "new.zarr.zip"])
def test_places_are_named_by_any_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorStore takes no ``..`` in paths."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "sub dir").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "sub dir" / name)
    monkeypatch.chdir(tmp_path / "sub dir")
    write_volume("../source.zarr", volume := VOLUME[:16, :16, :16])
    options = {"max_error": 0, "chunks": CHUNK}
    places = [f"../{name}", f"~/{name}", f"file://{tmp_path}/sub%20dir/../{name}", "../link"]
    for place in places:
        result = nvc_jax.compress("../source.zarr", place, **options)
        assert nvc_jax.info(place)["stored_bytes"] == result.stored_bytes
        nvc_jax.decompress(place, f"file://{tmp_path}/sub%20dir/../out.npy", overwrite=True)
        np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), volume)
    assert {entry.name for entry in tmp_path.iterdir()} == {"sub dir", "link", "source.zarr", "out.npy", name}
    assert [entry.name for entry in (tmp_path / "sub dir").iterdir()] == [name]


def test_directories_are_not_replaced_by_files(tmp_path: Path) -> None:
    (tmp_path / "v.zip").mkdir()
    with pytest.raises(FileExistsError, match="is a directory"):
        nvc_jax.compress(VOLUME, tmp_path / "v.zip", max_error=2)
    with pytest.raises(FileNotFoundError, match="the directory of"):
        nvc_jax.compress(VOLUME, tmp_path / "no" / "v.zip", max_error=2)


@pytest.mark.parametrize(
    "destination",
    [
        "s3://bucket/v.zip",
        {"driver": "http", "base_url": "http://127.0.0.1"},
        {"driver": "zarr3", "kvstore": "memory://a/", "path": "b"},
    ],
)
def test_where_nothing_can_be_written_is_named(destination: Any) -> None:
    with pytest.raises(ValueError, match=r"`destination`|must not have path"):
        nvc_jax.compress(VOLUME, destination, max_error=2)


def test_unknown_urls_are_named() -> None:
    with pytest.raises(ValueError, match="unsupported URL scheme"):
        nvc_jax.compress(VOLUME, "gopher://v.zarr", max_error=1)


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files, and ranges of their bytes, as web servers send them."""

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        if not wanted or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        first, last = wanted.split("-")
        start = int(first) if first else max(len(data) - int(last), 0)
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        self.wfile.write(data[start:stop])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """URL of a web server of ``tmp_path``."""
    handler = functools.partial(_Handler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # seconds until it sees that it ends
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("options", [{}, {"shards": SHARD}])
@pytest.mark.parametrize("name", ["v.zarr", "v.zarr.zip"])
def test_containers_are_read_by_http(
    name: str, options: dict, served: str, tmp_path: Path, decoded: np.ndarray
) -> None:
    nvc_jax.compress(VOLUME, tmp_path / name, max_error=2, chunks=CHUNK, **options)
    url = f"{served}/{name}"
    np.testing.assert_array_equal(nvc_jax.open(url)[5:20, 3:].read().result(), decoded[5:20, 3:])
    assert nvc_jax.info(url) == nvc_jax.info(tmp_path / name)
    with pytest.raises(ValueError, match="read-only"):
        nvc_jax.compress(VOLUME, url, max_error=2)
    with pytest.raises(nvc_jax.FormatError, match="no Zarr v3 array"):
        nvc_jax.open(f"{served}/nothing")


def test_sources_are_read_by_http(served: str, tmp_path: Path) -> None:
    write_volume(tmp_path / "source.zarr", VOLUME)
    nvc_jax.compress(f"{served}/source.zarr/", tmp_path / "v.zarr", max_error=2, chunks=CHUNK)
    nvc_jax.verify(VOLUME, tmp_path / "v.zarr")


@pytest.mark.parametrize("options", [{}, {"shards": SHARD}])
def test_containers_lie_in_object_stores(
    options: dict, bucket: dict, plain: Path, decoded: np.ndarray
) -> None:
    location = bucket | {"path": f"scans/{len(options)}.zarr/"}
    for volume in (VOLUME[:9], VOLUME):  # the second replaces the first, whose chunks are fewer
        result = nvc_jax.compress(volume, location, max_error=2, chunks=CHUNK, **options)
    np.testing.assert_array_equal(nvc_jax.open(location).read().result(), decoded)
    objects = ts.KvStore.open(location).result()
    keys = {key.decode() for key in objects.list().result()}
    assert ".nvc-started.json" not in keys
    assert result.stored_bytes == sum(len(objects.read(key).result().value) for key in keys)
    assert result == nvc_jax.CompressionResult.of_container(location)
    if not options:
        assert keys == read_files(plain).keys()
    nvc_jax.verify(VOLUME, {"driver": "zarr3", "kvstore": location})
    with pytest.raises(nvc_jax.FormatError, match="no Zarr v3 array"):
        nvc_jax.open(bucket | {"path": "scans/nothing/"})


def test_an_interrupted_run_in_an_object_store_is_resumed(bucket: dict, plain: Path) -> None:
    location = bucket | {"path": "interrupted.zarr/"}
    with pytest.raises(Interrupted):
        nvc_jax.compress(VOLUME, location, max_error=2, chunks=CHUNK, on_progress=interrupt_after(4))
    with pytest.raises(nvc_jax.FormatError, match="no Zarr v3 array"):
        nvc_jax.info(location)
    with pytest.raises(FileExistsError, match=r"another run began.*`--resume`"):
        nvc_jax.compress(VOLUME, location, max_error=2, chunks=CHUNK)
    nvc_jax.compress(VOLUME, location, max_error=2, chunks=CHUNK, resume=True)
    objects = ts.KvStore.open(location).result()
    stored = {key.decode(): bytes(objects.read(key).result().value) for key in objects.list().result()}
    assert stored == read_files(plain)


def test_what_is_no_store_is_not_replaced(bucket: dict) -> None:
    location = bucket | {"path": "thesis/"}
    objects = ts.KvStore.open(location).result()
    objects.write("thesis.txt", b"the only copy").result()
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"holds `thesis.txt`, which is no part of a container"):
            nvc_jax.compress(VOLUME, location, max_error=2, overwrite=overwrite)
    assert objects.read("thesis.txt").result().value == b"the only copy"


def test_an_old_store_is_not_taken_for_a_part_of_a_new_one(bucket: dict) -> None:
    location = bucket | {"path": "old.zarr/"}
    nvc_jax.compress(VOLUME, location, max_error=5, chunks=CHUNK)
    with pytest.raises(FileExistsError, match="remove it first"):
        nvc_jax.compress(VOLUME, location, lossless=True, chunks=CHUNK, part=(0, 2))
    nvc_jax.compress(VOLUME, location, lossless=True, chunks=CHUNK, resume=True)
    nvc_jax.verify(VOLUME, location)


def test_a_source_in_an_object_store_is_not_replaced(bucket: dict) -> None:
    location = bucket | {"path": "group.zarr/"}
    source = {"driver": "zarr3", "kvstore": location | {"path": "group.zarr/scan/"}}
    ts.open(source, create=True, dtype="uint8", shape=VOLUME.shape).result().write(VOLUME).result()
    for destination in (location, location | {"path": "group.zarr/scan/"}):
        with pytest.raises(ValueError, match="holds the source itself"):
            nvc_jax.compress(source, destination, max_error=2)
    np.testing.assert_array_equal(read_volume(source), VOLUME)


@pytest.mark.skipif(os.sep != "/", reason="a backslash is a separator")
@pytest.mark.parametrize("name", ["a\\b.zarr", "a\\b.zip", "a\\b/c.zarr", "a\\b.ome.zarr", "a\\b.zarr::v"])
def test_backslashes_in_names_are_no_slashes(name: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a\\b").mkdir()
    nvc_jax.compress(VOLUME, tmp_path / "a" / "b.zarr", lossless=True)
    before = sorted(tmp_path.rglob("*"))
    spec = {"driver": "file", "path": f"{tmp_path}/{name}/"}
    for location in (f"{tmp_path}/{name}", *([] if "::" in name else [spec])):
        with pytest.raises(ValueError, match="holds a backslash"):
            nvc_jax.compress(VOLUME, location, lossless=True)
    assert sorted(tmp_path.rglob("*")) == before
    if not name.endswith(".zip"):
        with pytest.raises(ValueError, match="holds a backslash"):
            nvc_jax.decompress(tmp_path / "a" / "b.zarr", f"{tmp_path}/{name}")
    assert sorted(tmp_path.rglob("*")) == before
    if name == "a\\b.zarr":
        (tmp_path / "a" / "b.zarr").rename(tmp_path / name)
        for read in (nvc_jax.open, nvc_jax.info, open_volume):
            with pytest.raises(ValueError, match="holds a backslash"):
                read(tmp_path / name)
        write_volume(tmp_path / "a\\b" / "a\\b.npy", VOLUME)  # which TensorStore has no part in
        assert nvc_jax.compress(tmp_path / "a\\b" / "a\\b.npy", tmp_path / "v.zarr").is_complete
