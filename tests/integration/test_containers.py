"""Where containers may lie, and how they come about: files, object stores, shards, several writers."""

import functools
import http.server
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.container.creation import create, find_started
from nvc_jax.container.metadata import FormatError
from nvc_jax.container.store import open_container
from nvc_jax.evaluation import containers
from nvc_jax.io.volumes import read_volume
from nvc_jax.io.writers import write_volume

VOLUME = read_volume(SAMPLE)[:37, :40, :43]
CHUNK, SHARD = (16, 16, 16), (32, 32, 32)
ARRAY_IN_A_PATH = {"driver": "zarr3", "kvstore": "memory://a/", "path": "b"}


def is_whole(location: Any) -> bool:
    try:
        open_container(location)
    except (FileNotFoundError, FormatError):
        return False
    return True


def files(store: Path) -> dict[str, bytes]:
    return {str(file.relative_to(store)): file.read_bytes() for file in store.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "v.zarr"
    nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK)
    return path


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sharded") / "v.zarr"
    nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK, shards=SHARD)
    return path


@pytest.fixture(scope="module")
def expected(plain: Path) -> np.ndarray:
    return np.asarray(nvc_jax.open(plain).read().result())


def test_shards_hold_the_same_chunks(plain: Path, sharded: Path, expected: np.ndarray) -> None:
    assert len(list((sharded / "c").rglob("*/*/*"))) == 2 * 2 * 2
    one, other = open_container(plain), open_container(sharded)
    assert list(one.chunks()) == list(other.chunks())
    for index in one.chunks():
        assert one.read(index) == other.read(index)
    np.testing.assert_array_equal(nvc_jax.open(sharded).read().result(), expected)
    containers.verify(VOLUME, sharded)


def test_a_shard_that_is_one_chunk_is_none(tmp_path: Path, plain: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=2, chunks=CHUNK, shards=CHUNK)
    assert files(tmp_path / "v.zarr") == files(plain)


def test_many_chunks_are_sharded_by_themselves(tmp_path: Path) -> None:
    nvc_jax.compress(np.zeros((72, 72, 72), np.uint8), tmp_path / "v.zarr", lossless=True, chunks=(8, 8, 8))
    described = containers.info(tmp_path / "v.zarr")
    assert described["shard"] == [32, 32, 32]
    assert not nvc_jax.open(tmp_path / "v.zarr").read().result().any()


@pytest.mark.parametrize("cut", [0, 1, 3, 40, -5, -1])
def test_damaged_shards_are_found(cut: int, sharded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "v.zarr"
    nvc_jax.compress(VOLUME, copy, max_error=2, chunks=CHUNK, shards=SHARD)
    path = copy / "c" / "1" / "0" / "0"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FormatError, match=r"chunk \(2, 0, 0\)"):
        nvc_jax.decompress(copy, tmp_path / "v.npy")
    np.testing.assert_array_equal(
        nvc_jax.open(copy)[:16].read().result(), nvc_jax.open(sharded)[:16].read().result()
    )


def test_one_file_holds_it_all(plain: Path, expected: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "v.zarr.zip"
    for _ in range(2):  # the second replaces the first
        nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr.zip"]
    np.testing.assert_array_equal(nvc_jax.open(path).read().result(), expected)
    assert containers.info(path) == containers.info(plain)
    nvc_jax.decompress(path, tmp_path / "v.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), expected)
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FormatError, match="damaged"):
        nvc_jax.open(damaged)


def test_directories_are_not_replaced_by_files(tmp_path: Path) -> None:
    (tmp_path / "v.zip").mkdir()
    with pytest.raises(FileExistsError, match="is a directory"):
        nvc_jax.compress(VOLUME, tmp_path / "v.zip", max_error=2)
    with pytest.raises(FileNotFoundError, match="the directory of"):
        nvc_jax.compress(VOLUME, tmp_path / "no" / "v.zip", max_error=2)


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
    handler = functools.partial(_Handler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("options", [{}, {"shards": SHARD}])
@pytest.mark.parametrize("name", ["v.zarr", "v.zarr.zip"])
def test_containers_are_read_by_http(
    name: str, options: dict, served: str, tmp_path: Path, expected: np.ndarray
) -> None:
    nvc_jax.compress(VOLUME, tmp_path / name, max_error=2, chunks=CHUNK, **options)
    url = f"{served}/{name}"
    np.testing.assert_array_equal(nvc_jax.open(url)[5:20, 3:].read().result(), expected[5:20, 3:])
    assert containers.info(url) == containers.info(tmp_path / name)
    with pytest.raises(ValueError, match="read-only"):
        nvc_jax.compress(VOLUME, url, max_error=2)
    with pytest.raises(FormatError, match="no Zarr v3 array"):
        nvc_jax.open(f"{served}/nothing")


def test_sources_are_read_by_http(served: str, tmp_path: Path) -> None:
    write_volume(tmp_path / "source.zarr", VOLUME)
    nvc_jax.compress(f"{served}/source.zarr/", tmp_path / "v.zarr", max_error=2, chunks=CHUNK)
    containers.verify(VOLUME, tmp_path / "v.zarr")


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, Any]]:
    """A TensorStore spec of an empty bucket of a local S3 server."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "test")
        # In a process of its own: its warnings are not ours.
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        streams = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
        with subprocess.Popen(command, text=True, **streams) as server:
            assert server.stderr is not None
            line = next(line for line in server.stderr if "Running on http" in line)
            endpoint = line.split("Running on ")[1].strip()
            drain = threading.Thread(target=server.stderr.read)
            drain.start()
            request = urllib.request.Request(f"{endpoint}/volumes", method="PUT")
            urllib.request.urlopen(request).close()
            yield {"driver": "s3", "bucket": "volumes", "endpoint": endpoint, "aws_region": "us-east-1"}
            server.terminate()
            drain.join()


@pytest.mark.parametrize("options", [{}, {"shards": SHARD}])
def test_containers_lie_in_object_stores(
    options: dict, bucket: dict, plain: Path, expected: np.ndarray
) -> None:
    location = bucket | {"path": f"scans/{len(options)}.zarr/"}
    for volume in (VOLUME[:9], VOLUME):  # the second replaces the first, whose chunks are fewer
        nvc_jax.compress(volume, location, max_error=2, chunks=CHUNK, **options)
    np.testing.assert_array_equal(nvc_jax.open(location).read().result(), expected)
    objects = ts.KvStore.open(location).result()
    keys = {key.decode() for key in objects.list().result()}
    assert ".nvc-started.json" not in keys
    if not options:
        assert keys == files(plain).keys()
    containers.verify(VOLUME, {"driver": "zarr3", "kvstore": location})
    with pytest.raises(FormatError, match="no Zarr v3 array"):
        nvc_jax.open(bucket | {"path": "scans/nothing/"})


def test_an_interrupted_run_in_an_object_store_is_resumed(
    bucket: dict, monkeypatch: pytest.MonkeyPatch, plain: Path
) -> None:
    location = bucket | {"path": "interrupted.zarr/"}
    with monkeypatch.context() as patched:
        interrupt(patched, after=4)
        with pytest.raises(OSError, match="interrupted"):
            nvc_jax.compress(VOLUME, location, max_error=2, chunks=CHUNK)
    assert not is_whole(location)
    assert find_started(location) is not None
    nvc_jax.compress(VOLUME, location, max_error=2, chunks=CHUNK, resume=True)
    objects = ts.KvStore.open(location).result()
    stored = {key.decode(): bytes(objects.read(key).result().value) for key in objects.list().result()}
    assert stored == files(plain)


def test_what_is_no_store_is_not_replaced(bucket: dict) -> None:
    location = bucket | {"path": "thesis/"}
    objects = ts.KvStore.open(location).result()
    objects.write("thesis.txt", b"the only copy").result()
    with pytest.raises(FileExistsError, match="no Zarr store"):
        nvc_jax.compress(VOLUME, location, max_error=2)
    assert objects.read("thesis.txt").result().value == b"the only copy"


def interrupt(patched: pytest.MonkeyPatch, after: int) -> None:
    """Make writing fail after so many objects."""
    write, calls = nvc_jax.container.Store.write_object, itertools.count()

    def failing(*arguments: Any) -> None:
        if next(calls) == after:
            raise OSError("interrupted")
        write(*arguments)

    patched.setattr("nvc_jax.container.store.Store.write_object", failing)


@pytest.mark.parametrize("options", [{"chunks": CHUNK}, {"chunks": CHUNK, "shards": SHARD}])
def test_several_writers_make_one_store(
    options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, target = tmp_path / "whole.zarr", tmp_path / "v.zarr"
    nvc_jax.compress(VOLUME, whole, relative_error=0.01, **options)
    arguments = {"relative_error": 0.01, **options}
    nvc_jax.compress(VOLUME, target, part=(2, 3), **arguments)
    assert not target.exists()
    with monkeypatch.context() as patched:
        interrupt(patched, after=1)
        with pytest.raises(OSError, match="interrupted"):
            nvc_jax.compress(VOLUME, target, part=(0, 3), **arguments)
    nvc_jax.compress(VOLUME, target, part=(1, 3), **arguments)
    assert not target.exists()  # what the interrupted one did not write is not there
    with pytest.raises(ValueError, match="of another volume, model or target"):
        nvc_jax.compress(VOLUME, target, part=(0, 3), relative_error=0.02, **options)
    nvc_jax.compress(VOLUME, target, part=(0, 3), **arguments)
    assert files(target) == files(whole)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["v.zarr", "whole.zarr"]


def test_only_the_first_writer_looks_at_the_whole_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", psnr=40, chunks=CHUNK, part=(0, 2))

    def fail(*_: Any) -> None:
        raise AssertionError("looked at the whole volume")

    monkeypatch.setattr("nvc_jax.compression.compress.survey", fail)
    monkeypatch.setattr("nvc_jax.compression.rate_control.ChunkedVolume.step_for_psnr", fail)
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", psnr=40, chunks=CHUNK, part=(1, 2))
    assert is_whole(tmp_path / "v.zarr")


WRITER = """
import sys
import nvc_jax
nvc_jax.compress(sys.argv[1], sys.argv[2], max_error=2.0, chunks=(8, 8, 8), shards=(16, 16, 16),
                 part=(int(sys.argv[3]), 3))
"""


def test_a_killed_writer_loses_only_what_it_was_writing(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.npy", VOLUME)
    options = {"max_error": 2.0, "chunks": (8, 8, 8), "shards": (16, 16, 16)}
    nvc_jax.compress(VOLUME, tmp_path / "whole.zarr", **options)
    target, partial = tmp_path / "v.zarr", tmp_path / ".v.zarr.partial"
    command = [sys.executable, "-c", WRITER, str(tmp_path / "v.npy"), str(target)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    others = [subprocess.Popen([*command, str(part)], env=environment) for part in (0, 1)]
    with subprocess.Popen([*command, "2"], env=environment) as process:
        mine = [f"{z}/{y}/{x}" for i, (z, y, x) in enumerate(np.ndindex(3, 3, 3)) if i % 3 == 2]
        while process.poll() is None and not (partial / "c" / mine[1]).exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert [other.wait() for other in others] == [0, 0]
    assert not target.exists()
    written = {name: (partial / "c" / name).stat().st_mtime_ns for name in mine[:2]}
    nvc_jax.compress(VOLUME, target, part=(2, 3), **options)
    assert files(target) == files(tmp_path / "whole.zarr")
    assert {name: (target / "c" / name).stat().st_mtime_ns for name in mine[:2]} == written


def test_wrong_shards_and_parts_are_named(tmp_path: Path) -> None:
    for arguments, message in [
        ({"chunks": CHUNK, "shards": (16, 16, 24)}, r"`shard` \(=16,16,24\) must be three positive multiples"),
        ({"part": (3, 3)}, r"`part` \(=\(3, 3\)\)"),
        ({"part": (-1, 3)}, "`part`"),
    ]:
        with pytest.raises(ValueError, match=message):
            nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=1, **arguments)
    with pytest.raises(ValueError, match="unsupported URL scheme"):
        nvc_jax.compress(VOLUME, "gopher://v.zarr", max_error=1)
    assert not list(tmp_path.iterdir())


def test_metadata_that_contradict_themselves_are_found(sharded: Path, tmp_path: Path) -> None:
    metadata = json.loads((sharded / "zarr.json").read_text())
    metadata["codecs"][0]["configuration"]["chunk_shape"] = [16, 16, 24]
    (tmp_path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(FormatError, match="no multiples of chunks"):
        nvc_jax.open(tmp_path)


def test_a_container_that_is_written_shows_its_header(plain: Path, tmp_path: Path) -> None:
    header = open_container(plain).header
    assert find_started(tmp_path / "v.zarr") is None
    with create(tmp_path / "v.zarr", header, shared=True):
        assert find_started(tmp_path / "v.zarr") == header
        assert not is_whole(tmp_path / "v.zarr")
    assert find_started(tmp_path / "v.zarr") == header


def test_another_volume_is_never_mixed_in(tmp_path: Path) -> None:
    options = {"relative_error": 0.01, "chunks": CHUNK}
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", part=(0, 2), **options)
    other = VOLUME.copy()
    other[:20] = 255 - other[:20]
    with pytest.raises(ValueError, match=r"of another volume.*\.v\.zarr\.partial"):
        nvc_jax.compress(other, tmp_path / "v.zarr", part=(1, 2), **options)
    assert not (tmp_path / "v.zarr").exists()


def test_a_part_that_is_written_again_changes_nothing(tmp_path: Path) -> None:
    options = {"max_error": 2, "chunks": CHUNK}
    for part in range(2):
        is_made = nvc_jax.compress(VOLUME, tmp_path / "v.zarr", part=(part, 2), **options)
        assert is_made == (part == 1)
    before = files(tmp_path / "v.zarr")
    assert nvc_jax.compress(VOLUME, tmp_path / "v.zarr", part=(0, 2), **options)
    assert files(tmp_path / "v.zarr") == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


def test_an_old_store_is_not_taken_for_a_part_of_a_new_one(bucket: dict) -> None:
    location = bucket | {"path": "old.zarr/"}
    nvc_jax.compress(VOLUME, location, max_error=5, chunks=CHUNK)
    with pytest.raises(FileExistsError, match="remove it first"):
        nvc_jax.compress(VOLUME, location, lossless=True, chunks=CHUNK, part=(0, 2))
    nvc_jax.compress(VOLUME, location, lossless=True, chunks=CHUNK, resume=True)
    containers.verify(VOLUME, location)


def test_a_source_in_an_object_store_is_not_replaced(bucket: dict) -> None:
    location = bucket | {"path": "group.zarr/"}
    source = {"driver": "zarr3", "kvstore": location | {"path": "group.zarr/scan/"}}
    ts.open(source, create=True, dtype="uint8", shape=VOLUME.shape).result().write(VOLUME).result()
    for destination in (location, location | {"path": "group.zarr/scan/"}):
        with pytest.raises(ValueError, match="holds the source itself"):
            nvc_jax.compress(source, destination, max_error=2)
    np.testing.assert_array_equal(read_volume(source), VOLUME)


def test_a_source_within_the_destination_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "v.zarr").mkdir()
    (tmp_path / "v.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    write_volume(tmp_path / "v.zarr" / "scan.zarr", VOLUME)
    with pytest.raises(ValueError, match="holds the source itself"):
        nvc_jax.compress(tmp_path / "v.zarr" / "scan.zarr", tmp_path / "v.zarr", max_error=2)


def test_a_damaged_shard_is_written_anew(sharded: Path, tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK, shards=SHARD, part=(0, 2))
    shard = next(iter(sorted((tmp_path / ".v.zarr.partial" / "c").rglob("*/*/*"))))
    shard.write_bytes(shard.read_bytes()[:-9])
    for part in (0, 1):
        nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK, shards=SHARD, part=(part, 2))
    assert files(path) == files(sharded)


def test_files_are_replaced_by_containers(tmp_path: Path) -> None:
    (tmp_path / "v.nvc").write_text("an old file")
    nvc_jax.compress(VOLUME, tmp_path / "v.nvc", max_error=2, chunks=CHUNK)
    containers.verify(VOLUME, tmp_path / "v.nvc")
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.nvc"]


def test_numbers_of_numpy_are_taken(tmp_path: Path) -> None:
    chunk = tuple(np.array(CHUNK))
    options = {"max_error": np.float32(2), "missing_values": [np.float32(7), np.nan], "chunks": chunk}
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", **options)
    assert containers.info(tmp_path / "v.zarr")["fill_values"] == [7.0]


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
