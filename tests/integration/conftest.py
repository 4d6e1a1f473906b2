"""Containers of the sample volume, and an object store."""

import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_volume import CHUNK, SHARD, VOLUME

import nvc_jax


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Container in which each chunk is an object; not to be changed."""
    path = tmp_path_factory.mktemp("plain") / "v.zarr"
    nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK)
    return path


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Container of the same chunks in shards; not to be changed."""
    path = tmp_path_factory.mktemp("sharded") / "v.zarr"
    nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK, shards=SHARD)
    return path


@pytest.fixture(scope="session")
def decoded(plain: Path) -> np.ndarray:
    """Volume that both containers decode to."""
    return np.asarray(nvc_jax.open(plain).read().result())


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, Any]]:
    """TensorStore spec of an empty bucket of a local S3 server."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "test")
        # In a process of its own: its warnings are not ours.
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        streams = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
        with subprocess.Popen(command, text=True, **streams) as server:
            assert server.stderr is not None
            line = next(line for line in server.stderr if "Running on http" in line)
            endpoint = line.split("Running on ")[1].strip()
            drain = threading.Thread(target=server.stderr.read)
            drain.start()
            request = urllib.request.Request(f"{endpoint}/volumes", method="PUT")
            urllib.request.urlopen(request).close()
            yield {"driver": "s3", "bucket": "volumes", "endpoint": endpoint, "aws_region": "us-east-1"}
            server.terminate()
            drain.join()
