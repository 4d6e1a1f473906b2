from pathlib import Path

import numpy as np
import pytest

from nvc_jax.io.volumes import FORMATS, open_volume, read_metadata, read_volume
from nvc_jax.io.writers import write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def test_every_suffix_belongs_to_one_format() -> None:
    suffixes = [suffix for file_format in FORMATS for suffix in file_format.suffixes]
    assert len(suffixes) == len(set(suffixes))


def test_unknown_suffixes_are_named(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("no volume")
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=r"suffix must be one of \.npy, .*\.nii\.gz, .*\.zarr"):
            read(tmp_path / "v.txt")


def test_missing_files_are_named(tmp_path: Path) -> None:
    for read in (open_volume, read_metadata):
        with pytest.raises(FileNotFoundError, match=r"nothing\.npy` does not exist"):
            read(tmp_path / "nothing.npy")


def test_relative_paths_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "v.npy", VOLUME)
    monkeypatch.chdir(tmp_path)
    store = open_volume("v.npy")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(store.read().result(), VOLUME)


def test_urls_of_files_are_read(tmp_path: Path) -> None:
    write_volume(tmp_path / "a v.npy", VOLUME)
    np.testing.assert_array_equal(read_volume(f"file://{tmp_path}/a%20v.npy"), VOLUME)


def test_colons_separate_datasets_only_in_formats_that_have_them(tmp_path: Path) -> None:
    write_volume(tmp_path / "a::v.npy", VOLUME)
    np.testing.assert_array_equal(read_volume(tmp_path / "a::v.npy"), VOLUME)
    with pytest.raises(FileNotFoundError, match=r"v\.npy::/a` does not exist"):
        open_volume(f"{tmp_path}/v.npy::/a")
