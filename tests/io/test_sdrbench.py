import io
import json
import math
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import FileServer, serving

from nvc_jax.io.raw import DTYPE_OF_SUFFIX
from nvc_jax.io.sdrbench import fetch_sdrbench, field_bytes, load_catalog
from nvc_jax.io.volumes import read_volume

SHAPE = (3, 4, 5)
FIELDS = {"u": "Uf48.bin.f32", "v": "Vf48.bin.f32"}


def pack(values: dict[str, np.ndarray]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, array in values.items():
            info = tarfile.TarInfo(f"3x4x5/{name}")
            info.size = array.nbytes
            tar.addfile(info, io.BytesIO(array.astype("<f4").tobytes()))
    return packed.getvalue()


VALUES = {name: np.arange(60, dtype=np.float32).reshape(SHAPE) + i for i, name in enumerate(FIELDS.values())}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files["small.tar.gz"] = pack(VALUES)
        yield running


@pytest.fixture
def catalog(server: FileServer) -> dict[str, dict[str, Any]]:
    entry = {"url": f"{server.url}/small.tar.gz", "archive_gb": 1e-6, "shape": SHAPE}
    return {"small": entry | {"dtype": "float32", "byte_order": "little", "fields": FIELDS}}


def test_fields_are_volumes_that_state_their_shape(catalog: dict, server: FileServer, tmp_path: Path) -> None:
    paths = fetch_sdrbench("small", tmp_path / "new", catalog=catalog)
    assert [path.name for path in paths] == ["u_5x4x3_float32.raw", "v_5x4x3_float32.raw"]
    for path, expected in zip(paths, VALUES.values(), strict=True):
        np.testing.assert_array_equal(read_volume(path), expected)
    assert sorted(entry.name for entry in (tmp_path / "new").iterdir()) == [".nvc-fetched.json", "small"]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=paths[0].parent, check=True)
    server.files.clear()
    assert fetch_sdrbench("small", tmp_path / "new", catalog=catalog) == paths


def test_a_field_that_has_changed_is_neither_taken_nor_replaced(catalog: dict, tmp_path: Path) -> None:
    first, _ = fetch_sdrbench("small", tmp_path, catalog=catalog)
    first.write_bytes(b"\0" * 240)
    with pytest.raises(FileExistsError, match=r"`u_5x4x3_float32\.raw` in it is not as it was fetched"):
        fetch_sdrbench("small", tmp_path, catalog=catalog)
    assert first.read_bytes() == b"\0" * 240


def test_a_folder_of_the_users_is_kept(catalog: dict, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "thesis").write_text("the only copy")
    with pytest.raises(FileExistsError):
        fetch_sdrbench("small", tmp_path, catalog=catalog)
    assert [entry.name for entry in (tmp_path / "small").iterdir()] == ["thesis"]


def test_another_archive_at_the_same_address_is_found_out(
    catalog: dict, server: FileServer, tmp_path: Path
) -> None:
    (path, _) = fetch_sdrbench("small", tmp_path, catalog=catalog)
    path.parent.rename(tmp_path / "kept")
    server.files["small.tar.gz"] = pack({name: array + 1 for name, array in VALUES.items()})
    with pytest.raises(ValueError, match="the data set has changed at its address"):
        fetch_sdrbench("small", tmp_path, catalog=catalog)
    assert not (tmp_path / "small").exists()
    (remembered,) = json.loads((tmp_path / ".nvc-fetched.json").read_text())
    assert remembered == catalog["small"]["url"]


def test_a_full_disk_is_found_before_the_download(catalog: dict, server: FileServer, tmp_path: Path) -> None:
    catalog["small"]["archive_gb"] = 1e9
    with pytest.raises(OSError, match="GB are free; name a `directory` on another disk"):
        fetch_sdrbench("small", tmp_path, catalog=catalog)
    assert server.requests == []


def test_an_archive_without_a_field_leaves_no_folder(
    catalog: dict, server: FileServer, tmp_path: Path
) -> None:
    server.files["small.tar.gz"] = pack({"Uf48.bin.f32": VALUES["Uf48.bin.f32"]})
    with pytest.raises(ValueError, match=r"does not hold Vf48\.bin\.f32"):
        fetch_sdrbench("small", tmp_path, catalog=catalog)
    assert not (tmp_path / "small").exists()


def test_the_catalogue_agrees_with_itself() -> None:
    catalog = load_catalog()
    assert len(catalog) == 7
    for entry in catalog.values():
        assert entry["byte_order"] == "little"
        assert field_bytes(entry) == math.prod(entry["shape"]) * np.dtype(entry["dtype"]).itemsize
        assert len(set(entry["fields"].values())) == len(entry["fields"])
        for packed in entry["fields"].values():
            assert DTYPE_OF_SUFFIX[Path(packed).suffix] == entry["dtype"]
        # The archive holds the fields, compressed by at most a factor of about four.
        assert field_bytes(entry) * len(entry["fields"]) < 4e9 * entry["archive_gb"]
    assert catalog["miranda"]["shape"] == [256, 384, 384]
