"""Kills compressing processes at random moments, resumes them, and compares with one that was let run.

python fuzz/kills.py [COUNT]
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

import nvc_jax
from nvc_jax.cli.demo import SAMPLE

PROGRAM = """
import sys
import nvc_jax
nvc_jax.compress(sys.argv[1], sys.argv[2], relative_error=1e-3, chunks=(16, 16, 16), resume=True)
"""


def files(store: Path) -> dict[str, bytes]:
    return {str(file.relative_to(store)): file.read_bytes() for file in store.rglob("*") if file.is_file()}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    random.seed(0)
    with TemporaryDirectory() as directory:
        expected, target = Path(directory) / "expected.zarr", Path(directory) / "v.zarr"
        began = time.perf_counter()
        nvc_jax.compress(SAMPLE, expected, relative_error=1e-3, chunks=(16, 16, 16))
        seconds = time.perf_counter() - began
        kills = 0
        while kills < count:
            command = [sys.executable, "-c", PROGRAM, str(SAMPLE), str(target)]
            with subprocess.Popen(command, env=os.environ | {"JAX_PLATFORMS": "cpu"}) as process:
                try:
                    process.wait(timeout=random.uniform(1, 1.2 * seconds + 3))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
            if target.exists():
                assert files(target) == files(expected), "a store that differs"
                shutil.rmtree(target)
            print(kills, "kills", flush=True)
        nvc_jax.compress(SAMPLE, target, relative_error=1e-3, chunks=(16, 16, 16), resume=True)
        assert files(target) == files(expected), "a store that differs"
    print("every store was whole or was not there, and every resumed one had the same bytes")


if __name__ == "__main__":
    main()
