from pathlib import Path

import pytest

from nvc_jax.io.renames import exchange, rename_new


def test_a_new_name_replaces_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("new")
    target.write_text("old")
    with pytest.raises(FileExistsError):
        rename_new(source, target)
    assert (source.read_text(), target.read_text()) == ("new", "old")
    target.unlink()
    rename_new(source, target)
    assert target.read_text() == "new"


def test_files_and_directories_are_exchanged(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.write_text("file")
    if not exchange(first, second):
        pytest.skip("the system cannot exchange paths")
    assert first.read_text() == "file"
    assert second.is_dir()
    with pytest.raises(FileNotFoundError):
        exchange(first, tmp_path / "nothing")
