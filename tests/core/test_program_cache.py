import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.core.program_cache import cache_folder, own_folder, prune, publish

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


def save_volume(folder: Path) -> None:
    """Write ``v.npy``, 20 × 24 × 28 float32."""
    np.save(folder / "v.npy", np.sin(np.arange(20 * 24 * 28) / 50).astype(np.float32).reshape(20, 24, 28))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Folder that holds ``v.npy``."""
    save_volume(tmp_path)
    return tmp_path


def programs_in(folder: Path) -> list[Path]:
    return sorted((folder / "cache").rglob("*-cache"))


def run(folder: Path, *arguments: str, code: str = COUNTING, **variables: str) -> list[Path]:
    """Run ``nvc``, or other code, in a process of its own, and list the programs that it keeps."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("JAX", "NVC"))}
    known |= {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": ":".join(sys.path), **variables}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=known, cwd=folder)
    return programs_in(folder)


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which a process compressed ``v.npy`` to ``first.zarr`` with the step 0.05."""
    folder = tmp_path_factory.mktemp("compressed")
    save_volume(folder)
    run(folder, "compress", "v.npy", "first.zarr", "--step", "0.05")
    return folder


def test_programs_of_one_run_serve_the_next(compressed: Path, tmp_path: Path) -> None:
    here = shutil.copytree(compressed, tmp_path / "here")
    kept = programs_in(here)
    assert any("encode" in path.name for path in kept)
    written = {path: path.stat().st_mtime_ns for path in kept}
    assert run(here, "compress", "v.npy", "second.zarr", "--step", "0.06") == kept
    hits, needed = map(int, (here / "counts").read_text().split())
    assert hits == needed > 0
    assert {path: path.stat().st_mtime_ns for path in kept} == written


def test_programs_serve_calls_from_python_that_ask_for_them(compressed: Path, tmp_path: Path) -> None:
    here = shutil.copytree(compressed, tmp_path / "here")
    kept = programs_in(here)
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


def test_programs_enter_the_cache_whole(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"kept")
    own = own_folder(tmp_path)
    assert (own / "kept").read_bytes() == b"kept"
    (own / "added").write_bytes(b"ad")  # half of what will be written
    assert not (tmp_path / "added").exists()
    (own / "added").write_bytes(b"added")
    publish(own, tmp_path, os.getpid() + 1)  # as in a process that was forked
    assert own.is_dir()
    publish(own, tmp_path, os.getpid())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["added", "kept"]
    assert (tmp_path / "added").read_bytes() == b"added"


def test_folders_of_killed_processes_are_removed_after_a_week(tmp_path: Path) -> None:
    running, killed = own_folder(tmp_path), own_folder(tmp_path)
    os.utime(killed, (0, 0))
    prune(tmp_path, 0)
    assert list(tmp_path.iterdir()) == [running]


def test_a_process_that_was_killed_adds_nothing(here: Path) -> None:
    killed = """
import os
import jax
import nvc_jax
nvc_jax.use_program_cache()
jax.jit(lambda x: x + 1)(1.0)
os._exit(0)
"""
    kept = run(here, code=killed)
    assert kept
    assert all(path.parent.name.startswith(".process-") for path in kept)


def test_the_cache_folder_is_the_systems() -> None:
    assert cache_folder().is_absolute()
