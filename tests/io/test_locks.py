import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nvc_jax.io.locks import locked

HOLD = """
import sys
from pathlib import Path
from nvc_jax.io.locks import locked
with locked(Path(sys.argv[1]), Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_of_two_runs_the_second_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    with locked(path, path) as is_locked:
        if not is_locked:
            pytest.skip("the file system knows no locks")
        for shared in (False, True):
            with pytest.raises(BlockingIOError, match="another run is writing to `out`"):
                locked(path, Path("out"), shared=shared).__enter__()
        with locked(tmp_path / "w.zarr", path):
            pass
    with locked(path, path):
        pass
    assert not list(tmp_path.iterdir())


def test_several_writers_share_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    with locked(path, path, shared=True):
        with locked(path, path, shared=True):
            pass
        with pytest.raises(BlockingIOError):
            locked(path, path).__enter__()
    with locked(path, path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_killed_run_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError):
            locked(path, path).__enter__()
        os.kill(process.pid, signal.SIGKILL)
    with locked(path, path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_users_file_of_that_name_stays(tmp_path: Path) -> None:
    path, lock = tmp_path / "v.zarr", tmp_path / ".v.zarr.nvc-lock"
    lock.write_text("mine")
    with locked(path, path):
        pass
    assert lock.read_text() == "mine"
