import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.autoencoder.training import blocks
from nvc_jax.io import open_scivis
from nvc_jax.io.volumes import import_extra, read_volume, write_volume

NAME = "v_4x3x2_uint8.raw"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    write_volume(tmp_path / "www" / NAME, np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    handler = functools.partial(_Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def _serve(monkeypatch: pytest.MonkeyPatch, url: str, sha512: str) -> None:
    monkeypatch.setattr(blocks, "open_scivis", lambda: {"v": {"url": f"{url}/{NAME}", "sha512": sha512}})


def test_fetch_downloads_once_and_checks(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tmp_path / "www" / NAME
    _serve(monkeypatch, server, hashlib.sha512(original.read_bytes()).hexdigest())
    path = open_scivis.fetch_dataset("v", tmp_path / "new")
    assert path == tmp_path / "new" / NAME
    np.testing.assert_array_equal(read_volume(path), read_volume(original))
    original.unlink()
    assert open_scivis.fetch_dataset("v", tmp_path / "new") == path


def test_a_wrong_file_is_refused(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, server, "0" * 128)
    with pytest.raises(ValueError, match="hash"):
        open_scivis.fetch_dataset("v", tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


def test_the_index_is_whole() -> None:
    entries = open_scivis.open_scivis()
    assert len(entries) == 55
    for entry in entries.values():
        assert entry["bytes"] == np.prod(entry["size_xyz"]) * np.dtype(entry["dtype"]).itemsize


def test_a_missing_extra_names_the_command() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
        import_extra("no_such_module", "io")
