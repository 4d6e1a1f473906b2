"""Commands that are interrupted: they end at once, leave nothing that looks whole, and say what is kept."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ending import seconds_to_end

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.io.writers import write_volume

PROGRAM = "import sys\nfrom nvc_jax.cli import main\nsys.exit(main())"
VOLUME = read_volume(SAMPLE)[:37, :40, :43]
LONGEST_SECONDS = 2.0
"""Seconds in which a signal is obeyed."""


def interrupt(
    command: list[str], number: int, when: Callable[[], bool], **environment: str
) -> tuple[int, str]:
    """Run ``nvc``, and send it a signal at some moment.

    Returns:
        The exit status, and what was printed to standard error.
    """
    env = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": ":".join(sys.path)} | environment
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command], env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not when():
            time.sleep(0.001)
        seconds, message = seconds_to_end(process, number)
    assert seconds < LONGEST_SECONDS
    return process.returncode, message


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


def test_compression_ends_while_it_compiles(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.npy", VOLUME)
    claimed_at: list[float] = []

    def is_compiling() -> bool:
        if not claimed_at and (tmp_path / ".v.zarr.nvc-lock").exists():
            claimed_at.append(time.monotonic())
        return bool(claimed_at) and time.monotonic() > claimed_at[0] + 0.5

    command = ["compress", str(tmp_path / "v.npy"), str(tmp_path / "v.zarr"), "--max-error", "1"]
    # Programs without kernels take long to compile.
    settings = {"JAX_ENABLE_COMPILATION_CACHE": "false", "NVC_JAX_NATIVE": "0"}
    status, message = interrupt(command, signal.SIGINT, is_compiling, **settings)
    lines = [line for line in message.splitlines() if "compiling for" not in line]  # told after a while
    assert (status, lines) == (130, ["nvc compress: interrupted; nothing of the output is kept"])
    assert names(tmp_path) == {"v.npy"}


def test_compression_says_what_is_kept_and_goes_on_there(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.npy", VOLUME)
    source, target = tmp_path / "v.npy", tmp_path / "v.zarr"
    command = ["compress", str(source), str(target), "--lossless", "--chunk", "8,8,8"]

    def has_begun() -> bool:
        return sum(1 for _ in tmp_path.glob(".v.zarr.*.partial/c/*/*/*")) > 3

    status, message = interrupt(command, signal.SIGTERM, has_begun)
    assert status == 143
    (partial,) = tmp_path.glob(".v.zarr.*.partial")
    assert message.startswith(f"nvc compress: interrupted; `{target}`: ")
    assert f"of 150 objects are kept in `{partial}`; the same call with `resume` (`--resume`)" in message
    assert names(tmp_path) == {"v.npy", partial.name}

    calls: list[object] = []
    nvc_jax.compress(source, target, lossless=True, chunks=(8, 8, 8), resume=True, on_progress=calls.append)
    assert len(calls) < 150
    assert names(tmp_path) == {"v.npy", "v.zarr"}
    nvc_jax.verify(source, target)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Container of many chunks, so that it takes a moment to decompress."""
    path = tmp_path_factory.mktemp("container") / "v.zarr"
    volume = np.random.default_rng(0).integers(0, 9, (144, 144, 144)).astype(np.uint8)
    nvc_jax.compress(volume, path, lossless=True, chunks=(16, 16, 16))
    return path


@pytest.mark.parametrize("name", ["w.npy", "w.zarr"])
def test_decompression_leaves_nothing(name: str, container: Path, tmp_path: Path) -> None:
    command = ["decompress", str(container), str(tmp_path / name)]
    status, message = interrupt(command, signal.SIGINT, lambda: any(tmp_path.glob(f".{name}.*.tmp/*")))
    assert (status, message) == (130, "nvc decompress: interrupted; nothing of the output is kept\n")
    assert names(tmp_path) == set()


def test_training_says_where_its_state_is(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.npy", VOLUME)
    (tmp_path / "config.json").write_text('{"model": "zero-margin", "epochs": 100000, "batch_size": 16}')
    command = ["train", str(tmp_path / "config.json"), str(tmp_path / "v.npy"), "--output"]
    state = tmp_path / "model.training"
    status, message = interrupt(
        [*command, str(tmp_path / "model")], signal.SIGTERM, lambda: any(state.glob("steps/*"))
    )
    assert status == 143
    assert f"interrupted; the state of the training is kept in `{state}`; the same command" in message
    assert names(tmp_path) == {"v.npy", "config.json", "model.training"}
