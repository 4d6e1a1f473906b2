import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.io.open_scivis import fetch_dataset, load_catalog
from nvc_jax.io.volumes import read_volume
from nvc_jax.io.writers import write_volume

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


def _catalog(url: str, sha512: str) -> dict[str, dict[str, str]]:
    return {"v": {"url": f"{url}/{NAME}", "sha512": sha512}}


def test_a_dataset_is_downloaded_once_and_checked(server: str, tmp_path: Path) -> None:
    original = tmp_path / "www" / NAME
    catalog = _catalog(server, hashlib.sha512(original.read_bytes()).hexdigest())
    path = fetch_dataset("v", tmp_path / "new", catalog=catalog)
    assert path == tmp_path / "new" / NAME
    np.testing.assert_array_equal(read_volume(path), read_volume(original))
    original.unlink()
    assert fetch_dataset("v", tmp_path / "new", catalog=catalog) == path


def test_a_file_with_another_hash_is_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hash"):
        fetch_dataset("v", tmp_path / "new", catalog=_catalog(server, "0" * 128))
    assert not list((tmp_path / "new").iterdir())


def test_a_file_of_that_name_is_kept(server: str, tmp_path: Path) -> None:
    original, path = tmp_path / "www" / NAME, tmp_path / "new" / NAME
    catalog = _catalog(server, hashlib.sha512(original.read_bytes()).hexdigest())
    path.parent.mkdir()
    path.write_text("the user's own")
    with pytest.raises(FileExistsError, match="is an existing file"):
        fetch_dataset("v", tmp_path / "new", catalog=catalog)
    assert path.read_text() == "the user's own"
    assert fetch_dataset("v", tmp_path / "new", catalog=catalog, overwrite=True) == path
    assert path.read_bytes() == original.read_bytes()


def test_an_unknown_name_is_an_error_with_similar_names() -> None:
    with pytest.raises(ValueError, match=r"`name` \(='nucleonn'\) .* did you mean nucleon"):
        fetch_dataset("nucleonn")
    with pytest.raises(ValueError, match="`nvc fetch` lists them"):
        fetch_dataset("0", catalog={})


def test_the_catalog_is_complete() -> None:
    entries = load_catalog()
    assert len(entries) == 55
    for entry in entries.values():
        assert entry["bytes"] == np.prod(entry["size_xyz"]) * np.dtype(entry["dtype"]).itemsize
