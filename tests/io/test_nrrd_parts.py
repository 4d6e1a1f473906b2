from pathlib import Path

import pytest
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.volumes import open_volume, read_metadata

HEADER = "NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nencoding: raw\nendian: little\nspacings: 1 2 3\n"


def _write(folder: Path, data_file: str, header: str = HEADER, head: bytes = b"") -> Path:
    """Write planes to ``p2.raw``, ``p4.raw``, … and a header that states ``data_file``."""
    for z, plane in enumerate(VOLUME):
        (folder / f"p{2 * z + 2:03}.raw").write_bytes(head + plane.tobytes())
    path = folder / "v.nhdr"
    path.write_text(f"{header}data file: {data_file}\n")
    return path


LIST = "\n" + "".join(f"p{z:03}.raw\n" for z in range(2, 11, 2))


@pytest.mark.parametrize(
    "data_file", ["p%03d.raw 2 10 2", "./p%03d.raw 2 10 2 2", f"LIST{LIST}", f"LIST 2{LIST}", f"list{LIST}"]
)
def test_planes_in_files_of_their_own_are_joined(data_file: str, tmp_path: Path) -> None:
    path = _write(tmp_path, data_file)
    check_opens_as_written(path)
    assert read_metadata(path).spacing == (3, 2, 1)


@pytest.mark.parametrize("n_skipped", [4, -1])
def test_bytes_before_the_samples_are_skipped(n_skipped: int, tmp_path: Path) -> None:
    header = f"{HEADER}byte skip: {n_skipped}\n"
    check_opens_as_written(_write(tmp_path, "p%03d.raw 2 10 2", header, b"head"))


def test_slabs_in_files_of_their_own_are_joined(tmp_path: Path) -> None:
    for z in range(2):
        (tmp_path / f"{z}.raw").write_bytes(VOLUME[:4][2 * z : 2 * z + 2].tobytes())
    (tmp_path / "v.nhdr").write_text(f"{HEADER.replace('7 6 5', '7 6 4')}data file: %d.raw 1 0 -1 3\n")
    assert (open_volume(tmp_path / "v.nhdr").read().result()[2:] == VOLUME[:2]).all()


@pytest.mark.parametrize(
    ("data_file", "message"),
    [
        ("p%03d.raw 2 8 2", "its 4 data files do not divide the sizes"),
        ("p%03d.raw 2 12 2", "its 6 data files do not divide"),
        ("p%03d.raw 1 5 1", r"samples are in `p001\.raw`, which is not a file"),
        ("p%03d.raw 2 10 0", "names no files, or too many"),
        ("p%03d.raw 0 99999999 1", "names no files, or too many"),
        ("p%03d.raw 2 10 2 1", "do not divide"),
        ("LIST\n", "its 0 data files do not divide"),
    ],
)
def test_files_that_do_not_fit_are_named(data_file: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        open_volume(_write(tmp_path, data_file))


def test_short_and_compressed_files_are_named(tmp_path: Path) -> None:
    path = _write(tmp_path, "p%03d.raw 2 10 2")
    (tmp_path / "p006.raw").write_bytes(b"few")
    with pytest.raises(ValueError, match=r"`p006\.raw` holds 3 bytes; its header says 84"):
        open_volume(path)
    with pytest.raises(ValueError, match="in several files: these must be raw"):
        open_volume(_write(tmp_path, "p%03d.raw 2 10 2", HEADER.replace("raw", "gzip")))
