"""Kill compressing processes at random moments, resume them, and compare with a run that was not interrupted.

    python fuzz/kills.py [COUNT]

At any moment there must be no container, or a complete one with the bytes of an uninterrupted run.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nvc_jax
from nvc_jax.cli.demo import SAMPLE

OPTIONS: dict[str, Any] = {"relative_error": 1e-3, "chunks": (16, 16, 16)}
PROGRAM = f"""
import sys
import nvc_jax
nvc_jax.compress(sys.argv[1], sys.argv[2], resume=True, **{OPTIONS})
"""


def read_files(directory: Path) -> dict[str, bytes]:
    """Read every file below a directory, by its path relative to it."""
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def run_and_kill(container: Path, most_seconds: float) -> bool:
    """Compress in another process, and kill it after a random time; whether it was killed before it ended."""
    command = [sys.executable, "-c", PROGRAM, str(SAMPLE), str(container)]
    with subprocess.Popen(command, env=os.environ | {"JAX_PLATFORMS": "cpu"}) as process:
        try:
            process.wait(timeout=random.uniform(1, most_seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return True
    return False


def main() -> None:
    """Kill as many processes as the command line says."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    random.seed(0)
    with TemporaryDirectory() as directory:
        uninterrupted, container = Path(directory) / "expected.zarr", Path(directory) / "v.zarr"
        start = time.perf_counter()
        nvc_jax.compress(SAMPLE, uninterrupted, **OPTIONS)
        most_seconds = 1.2 * (time.perf_counter() - start) + 3  # longer than a run, which starts Python too
        expected = read_files(uninterrupted)

        n_kills = 0
        while n_kills < count:
            n_kills += run_and_kill(container, most_seconds)
            if container.exists():
                assert read_files(container) == expected, "a container differs from the uninterrupted run's"
                shutil.rmtree(container)
            print(n_kills, "kills", flush=True)
        nvc_jax.compress(SAMPLE, container, resume=True, **OPTIONS)
        assert read_files(container) == expected, "the container differs from the uninterrupted run's"
    print("no container was incomplete, and each resumed one had the bytes of an uninterrupted run")


if __name__ == "__main__":
    main()
