import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, serving

from nvc_jax.io import downloads
from nvc_jax.io.downloads import DownloadProgress, file_hash

CONTENT = bytes(range(256)) * 5000

download = functools.partial(downloads.download, pause_seconds=0)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files["v.raw"] = CONTENT
        yield running


def sha512(content: bytes) -> str:
    return f"sha512:{hashlib.sha512(content).hexdigest()}"


HASH = sha512(CONTENT)


def test_a_file_is_downloaded_and_its_progress_told(server: FileServer, tmp_path: Path) -> None:
    reports: list[DownloadProgress] = []
    download(
        f"{server.url}/v.raw", tmp_path / "v.raw", known_hash=sha512(CONTENT), on_progress=reports.append
    )
    assert (tmp_path / "v.raw").read_bytes() == CONTENT
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.raw"]
    assert {report.total_bytes for report in reports} == {len(CONTENT)}
    assert reports[-1].done_bytes == len(CONTENT)
    assert file_hash(tmp_path / "v.raw", "sha512") == sha512(CONTENT).removeprefix("sha512:")


def test_a_connection_that_breaks_is_made_anew(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [400_000, 300_000]
    reports: list[DownloadProgress] = []
    download(
        f"{server.url}/v.raw", tmp_path / "v.raw", known_hash=sha512(CONTENT), on_progress=reports.append
    )
    assert (tmp_path / "v.raw").read_bytes() == CONTENT
    sent = [n_bytes for _, _, n_bytes in server.requests]
    assert len(sent) == 3
    assert sum(sent) <= len(CONTENT) + 2 * 262_144  # of a block that broke off some bytes may be lost
    assert [asked != "" for _, asked, _ in server.requests] == [False, True, True]
    assert reports[-1].begun_bytes > 0


def test_the_next_run_continues_the_one_that_broke_off(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [900_000, 0, 0, 0]
    with pytest.raises(OSError, match="cannot be downloaded") as info:
        download(f"{server.url}/v.raw", tmp_path / "v.raw", known_hash=sha512(CONTENT))
    assert "bytes are kept in" in info.value.__notes__[0]
    assert not (tmp_path / "v.raw").exists()
    before = len(server.requests)
    download(f"{server.url}/v.raw", tmp_path / "v.raw", known_hash=sha512(CONTENT))
    assert (tmp_path / "v.raw").read_bytes() == CONTENT
    ((_, asked, sent),) = server.requests[before:]
    assert asked.startswith("bytes=")
    assert sent < len(CONTENT) / 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.raw"]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_what_was_begun_of_another_version_is_not_kept(
    knows_ranges: bool, server: FileServer, tmp_path: Path
) -> None:
    server.break_after, server.knows_ranges = [900_000, 0, 0, 0], knows_ranges
    with pytest.raises(OSError, match="cannot be downloaded"):
        download(f"{server.url}/v.raw", tmp_path / "v.raw")
    changed = server.files["v.raw"] = CONTENT[::-1]
    download(f"{server.url}/v.raw", tmp_path / "v.raw", known_hash=sha512(changed))
    assert (tmp_path / "v.raw").read_bytes() == changed


def test_a_whole_file_that_was_not_named_yet_is_taken(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [900_000, 0, 0, 0]
    with pytest.raises(OSError, match="cannot be downloaded"):
        download(f"{server.url}/v.raw", tmp_path / "v.raw")
    (tmp_path / ".v.raw.part").write_bytes(CONTENT)
    download(f"{server.url}/v.raw", tmp_path / "v.raw", known_hash=sha512(CONTENT))
    assert (tmp_path / "v.raw").read_bytes() == CONTENT


def test_another_hash_is_refused_and_nothing_kept(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not match the known hash"):
        download(f"{server.url}/v.raw", tmp_path / "v.raw", known_hash=sha512(b"other"))
    assert list(tmp_path.iterdir()) == []


def test_what_the_server_does_not_have_is_named(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"nothing\.raw` cannot be downloaded: the server answers 404"):
        download(f"{server.url}/nothing.raw", tmp_path / "v.raw")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_named_in_plain_words(tmp_path: Path) -> None:
    with serving() as server:
        url = server.url
    with pytest.raises(OSError, match=r"^`http://127.0.0.1:\d+/v` cannot be downloaded: Connection refused$"):
        download(f"{url}/v", tmp_path / "v")
