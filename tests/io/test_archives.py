import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from nvc_jax.io.archives import Wanted, extract_files

FIELDS = {"a.f32": b"\1" * 400, "b.f32": b"\2" * 400}


def write_archive(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return path


def wanted(folder: Path) -> dict[str, Wanted]:
    folder.mkdir(exist_ok=True)
    return {name: Wanted(folder / f"{name}.raw", 400) for name in FIELDS}


def test_fields_are_taken_out_wherever_they_lie(tmp_path: Path) -> None:
    members = {"data/a.f32": FIELDS["a.f32"], "README": b"text", "data/deep/b.f32": FIELDS["b.f32"]}
    archive = write_archive(tmp_path / "v.tar.gz", members)
    blocks: list[int] = []
    hashes = extract_files(archive, wanted(tmp_path / "out"), blocks.append)
    for name, content in FIELDS.items():
        path = tmp_path / "out" / f"{name}.raw"
        assert path.read_bytes() == content
        assert hashes[path] == hashlib.sha256(content).hexdigest()
    assert sum(blocks) == 800
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    members = {"../a.f32": FIELDS["a.f32"], f"{tmp_path}/b.f32": FIELDS["b.f32"], "../../evil": b"x"}
    archive = write_archive(tmp_path / "v.tar.gz", members, {"link": "/etc/passwd"})
    extract_files(archive, wanted(tmp_path / "out"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "v.tar.gz"]


def test_links_are_no_fields(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "v.tar.gz", {"a.f32": FIELDS["a.f32"]}, {"b.f32": "a.f32"})
    with pytest.raises(ValueError, match=r"does not hold b\.f32"):
        extract_files(archive, wanted(tmp_path / "out"))


def test_other_sizes_are_named(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "v.tar.gz", FIELDS | {"b.f32": b"\2" * 401})
    with pytest.raises(ValueError, match=r"`b\.f32` has 401 bytes, not 400"):
        extract_files(archive, wanted(tmp_path / "out"))


@pytest.mark.parametrize("cut", [0, 20, -30])
def test_damaged_archives_are_named(cut: int, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "v.tar.gz", FIELDS)
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"v.tar.gz` (is damaged|does not hold)"):
        extract_files(archive, wanted(tmp_path / "out"))
