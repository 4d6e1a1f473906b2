import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer, serving

from nvc_jax.io.open_scivis import fetch_dataset, load_catalog
from nvc_jax.io.volumes import read_volume

NAME = "v_4x3x2_uint8.raw"


CONTENT = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files[NAME] = CONTENT.tobytes()
        yield running


def _catalog(server: FileServer, sha512: str | None = None) -> dict[str, dict[str, str]]:
    return {"v": {"url": f"{server.url}/{NAME}", "sha512": sha512 or hashlib.sha512(CONTENT).hexdigest()}}


def test_a_dataset_is_downloaded_once_and_checked(server: FileServer, tmp_path: Path) -> None:
    path = fetch_dataset("v", tmp_path / "new", catalog=_catalog(server))
    assert path == tmp_path / "new" / NAME
    np.testing.assert_array_equal(read_volume(path), CONTENT)
    server.files.clear()
    assert fetch_dataset("v", tmp_path / "new", catalog=_catalog(server)) == path


def test_a_file_with_another_hash_is_refused(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hash"):
        fetch_dataset("v", tmp_path / "new", catalog=_catalog(server, "0" * 128))
    assert not list((tmp_path / "new").iterdir())


def test_a_file_of_that_name_is_kept(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "new" / NAME
    path.parent.mkdir()
    path.write_text("the user's own")
    with pytest.raises(FileExistsError, match="is an existing file"):
        fetch_dataset("v", tmp_path / "new", catalog=_catalog(server))
    assert path.read_text() == "the user's own"
    with pytest.raises(ValueError, match="hash"):
        fetch_dataset("v", tmp_path / "new", catalog=_catalog(server, "0" * 128), overwrite=True)
    assert path.read_text() == "the user's own"
    assert fetch_dataset("v", tmp_path / "new", catalog=_catalog(server), overwrite=True) == path
    assert path.read_bytes() == CONTENT.tobytes()


def test_an_unknown_name_is_an_error_with_similar_names() -> None:
    with pytest.raises(ValueError, match=r"`name` \(='nucleonn'\) .* did you mean nucleon"):
        fetch_dataset("nucleonn")
    with pytest.raises(ValueError, match="`nvc fetch --list` lists them"):
        fetch_dataset("0", catalog={})


def test_the_catalog_is_complete() -> None:
    entries = load_catalog()
    assert len(entries) == 55
    for entry in entries.values():
        assert entry["bytes"] == np.prod(entry["size_xyz"]) * np.dtype(entry["dtype"]).itemsize
