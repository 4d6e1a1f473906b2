import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.core.program_cache import cache_folder, prune

COUNTING = """
import sys
import jax
import nvc_jax
from nvc_jax.cli import main

events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event.rpartition("/")[2]))
if sys.argv[1] == "call":
    nvc_jax.use_program_cache()
    nvc_jax.compress("v.npy", sys.argv[2], step=0.05)
    status = 0
else:
    status = main()
with open("counts", "w") as counts:
    print(events.count("cache_hits"), events.count("compile_requests_use_cache"), file=counts)
sys.exit(status)
"""
"""Code that runs ``nvc``, or calls ``compress``, and counts the programs: from the cache, and needed."""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Folder that holds ``v.npy``, 20 × 24 × 28 float32."""
    np.save(tmp_path / "v.npy", np.sin(np.arange(20 * 24 * 28) / 50).astype(np.float32).reshape(20, 24, 28))
    return tmp_path


def run(folder: Path, *arguments: str, **variables: str) -> list[Path]:
    """Run ``nvc`` in a process of its own, and list the programs that it keeps."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("JAX", "NVC", "XLA"))}
    known |= {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": ":".join(sys.path), **variables}
    command = [sys.executable, "-c", COUNTING, *arguments]
    subprocess.run(command, check=True, env=known, cwd=folder)
    return sorted((folder / "cache").rglob("*-cache"))


def test_programs_of_one_run_serve_the_next(here: Path) -> None:
    kept = run(here, "compress", "v.npy", "first.zarr", "--step", "0.05")
    assert any("encode" in path.name for path in kept)
    written = {path: path.stat().st_mtime_ns for path in kept}
    assert run(here, "compress", "v.npy", "second.zarr", "--step", "0.06") == kept
    hits, needed = map(int, (here / "counts").read_text().split())
    assert hits == needed > 0
    assert {path: path.stat().st_mtime_ns for path in kept} == written


def test_programs_serve_calls_from_python_that_ask_for_them(here: Path) -> None:
    kept = run(here, "compress", "v.npy", "first.zarr", "--step", "0.05")
    assert run(here, "call", "second.zarr") == kept
    hits, needed = map(int, (here / "counts").read_text().split())
    assert hits == needed > 0


def test_a_variable_turns_the_cache_off(here: Path) -> None:
    assert run(here, "info", "--system", NVC_JAX_CACHE="0") == []
    assert not (here / "cache").exists()


def test_a_folder_that_cannot_be_written_is_not_used(here: Path) -> None:
    (here / "cache").write_text("a file")
    run(here, "info", "--system")
    assert (here / "cache").read_text() == "a file"


def test_the_oldest_files_are_removed(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "used", "old")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    os.utime(tmp_path / "used", (2000, 1))
    prune(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "used"]
    prune(tmp_path, 100)
    assert [path.name for path in tmp_path.iterdir()] == ["used"]
    prune(tmp_path, 0)
    assert not list(tmp_path.iterdir())


def test_the_cache_folder_is_the_systems() -> None:
    assert cache_folder().is_absolute()
