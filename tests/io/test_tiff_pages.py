import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from nvc_jax.io.tiff_pages import check_pages
from nvc_jax.io.volumes import open_volume, read_volume

VOLUME = np.random.default_rng(0).normal(size=(6, 16, 20)).astype(np.float32)
WRITERS: list[dict[str, Any]] = [
    {},
    {"imagej": True, "metadata": {"axes": "ZYX"}},
    {"metadata": None},
    {"metadata": None, "compression": "zlib"},
    {"compression": "zlib"},
    {"ome": True},
    {"bigtiff": True, "compression": "zlib"},
    {"bigtiff": True, "byteorder": ">", "compression": "zlib"},
    {"byteorder": ">", "metadata": None},
]


@pytest.mark.parametrize("options", WRITERS)
def test_a_file_that_was_cut_off_is_never_a_smaller_volume(options: dict[str, Any], tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "whole.tif", VOLUME, photometric="minisblack", **options)
    np.testing.assert_array_equal(read_volume(tmp_path / "whole.tif"), VOLUME)
    content = (tmp_path / "whole.tif").read_bytes()
    for size in range(500, len(content), 500):
        (tmp_path / "cut.tif").write_bytes(content[:size])
        with contextlib.suppress(ValueError):
            # All pages are there; reading says if their samples are.
            assert open_volume(tmp_path / "cut.tif").shape == VOLUME.shape


def test_the_page_that_is_not_whole_is_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "v.tif", VOLUME, photometric="minisblack", metadata=None)
    content = (tmp_path / "v.tif").read_bytes()
    (tmp_path / "v.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(
        ValueError, match=r"`.*v.tif` is not a readable TIFF file: page \d of it begins at byte"
    ):
        open_volume(tmp_path / "v.tif")


def test_samples_that_were_cut_off_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "v.tif", VOLUME, photometric="minisblack", metadata=None, compression="zlib")
    content = (tmp_path / "v.tif").read_bytes()
    (tmp_path / "v.tif").write_bytes(content[:-10])
    with pytest.raises(ValueError, match=r"v.tif` is not a readable TIFF file"):
        read_volume(tmp_path / "v.tif")


@pytest.mark.parametrize("content", [b"", b"II", b"II\x07\x00", b"%PDF-1.4", b"II*\0\x08\0\0\0"])
def test_other_files_are_left_to_the_library(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.tif").write_bytes(content)
    if content.endswith(b"\x08\0\0\0"):
        with pytest.raises(ValueError, match="page 0 of it begins at byte 8"):
            check_pages(tmp_path / "v.tif")
    else:
        check_pages(tmp_path / "v.tif")


def test_a_chain_that_bites_its_tail_ends(tmp_path: Path) -> None:
    (tmp_path / "v.tif").write_bytes(b"II*\0\x08\0\0\0\0\0\x08\0\0\0")
    check_pages(tmp_path / "v.tif")
