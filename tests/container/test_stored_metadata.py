import os
from pathlib import Path

import pytest
from container_metadata import METADATA

from nvc_jax.container.metadata import METADATA_KEY, FormatError
from nvc_jax.container.stored_metadata import read_finest, read_metadata_at
from nvc_jax.io.locations import open_directory, open_kvstore


def test_metadata_are_read_from_a_key(tmp_path: Path) -> None:
    objects = open_directory(tmp_path)
    assert read_metadata_at(objects, "other.json") is None
    objects.write("other.json", METADATA.to_text()).result()
    assert read_metadata_at(objects, "other.json") == METADATA
    objects.write("other.json", "{").result()
    with pytest.raises(FormatError, match="no readable Zarr v3 array"):
        read_metadata_at(objects, "other.json")


def test_metadata_are_read_elsewhere_than_in_a_directory(tmp_path: Path) -> None:
    objects = open_kvstore("memory://metadata/")
    assert read_finest(objects) == (objects, None)
    objects.write(METADATA_KEY, METADATA.to_text()).result()
    assert read_finest(objects) == (objects, METADATA)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with a name")
def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for key in ("directory", "pipe"):
        with pytest.raises(FormatError, match=r"cannot be read: .* is no file"):
            read_metadata_at(open_directory(tmp_path), key)
