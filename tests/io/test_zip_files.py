import zipfile
from pathlib import Path

import pytest

from nvc_jax.io.zip_files import list_zip


def write(path: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a", bytes(1000))
        archive.writestr("c/0", b"1")
    return path


def test_entries_and_their_bytes_are_listed(tmp_path: Path) -> None:
    assert list_zip(write(tmp_path / "v.zip")) == {"a": 1000, "c/0": 1}


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_entries_are_refused(compression: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its entry `a` is compressed"):
        list_zip(write(tmp_path / "v.zip", compression))


def test_entries_longer_than_the_file_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "v.zip")
    data = path.read_bytes()
    size = (1000).to_bytes(4, "little")
    first, last = data.index(size * 2), data.rindex(size * 2)
    assert first != last
    large = (2**31).to_bytes(4, "little") * 2
    path.write_bytes(data[:last] + large + data[last + 8 :])
    with pytest.raises(ValueError, match="longer than the file"):
        list_zip(path)


@pytest.mark.parametrize("content", [b"", b"P", b"\x93NUMPY" + bytes(100), b"{}"])
def test_other_files_are_no_containers(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.zip").write_bytes(content)
    with pytest.raises(ValueError, match="neither a directory nor"):
        list_zip(tmp_path / "v.zip")


def test_files_whose_end_is_missing_are_damaged(tmp_path: Path) -> None:
    path = write(tmp_path / "v.zip")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="its end is missing"):
        list_zip(path)


def test_long_lists_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "v.zip")
    data = path.read_bytes()
    record = data.rindex(b"PK\5\6")
    path.write_bytes(data[: record + 12] + (1 << 30).to_bytes(4, "little") + data[record + 16 :])
    with pytest.raises(ValueError, match="list of entries of 1073741824 bytes"):
        list_zip(path)
