import zipfile
from pathlib import Path

import pytest

from nvc_jax.io.locations import lies_within, open_directory, open_location, write_zip


def test_files_below_a_directory_are_keys(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"value")
    spec = {"driver": "file", "path": f"{tmp_path}/"}
    for location in (tmp_path, str(tmp_path), f"file://{tmp_path}", spec, {"driver": "nvc", "kvstore": spec}):
        assert open_location(location).read("a/b").result().value == b"value"


def test_files_in_a_zip_file_are_keys(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"value")
    write_zip(tmp_path, ["b"], tmp_path / "v.zip")
    assert open_location(tmp_path / "v.zip").read("b").result().value == b"value"
    with zipfile.ZipFile(tmp_path / "v.zip") as archive:
        assert [info.compress_type for info in archive.infolist()] == [zipfile.ZIP_STORED]


def test_missing_paths_and_specs_with_more_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_location(tmp_path / "nothing")
    spec = {"driver": "zarr3", "kvstore": f"file://{tmp_path}/", "metadata": {}}
    with pytest.raises(ValueError, match="must not have metadata"):
        open_location(spec)


def test_a_directory_lies_within_its_parent(tmp_path: Path) -> None:
    inner, outer = open_directory(tmp_path / "a"), open_directory(tmp_path)
    assert lies_within(inner, outer)
    assert lies_within(inner, inner)
    assert not lies_within(outer, inner)
    assert not lies_within(open_directory(tmp_path / "ab"), open_directory(tmp_path / "a"))
