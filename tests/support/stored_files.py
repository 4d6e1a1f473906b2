"""Files of a container in a directory."""

from pathlib import Path


def read_files(directory: Path) -> dict[str, bytes]:
    """Read every file below a directory, by its path relative to it."""
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def keep_only(directory: Path, *names: str) -> None:
    """Remove every file below a directory except those named: whatever needs another one fails."""
    for path in directory.rglob("*"):
        if path.is_file() and str(path.relative_to(directory)) not in names:
            path.unlink()
