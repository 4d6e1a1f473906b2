"""A container, its original and an array with missing values, and a server that shows them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume

VOLUME = read_volume(SAMPLE)[:20, :24, :28]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``v.npy`` (20 × 24 × 28 uint8) and its container ``v.zarr`` of 2 × 2 × 2 chunks."""
    path = tmp_path_factory.mktemp("viewed")
    np.save(path / "v.npy", VOLUME)
    nvc_jax.compress(path / "v.npy", path / "v.zarr", max_error=2, chunks=(16, 16, 16))
    return path


@pytest.fixture(scope="session")
def address(folder: Path) -> Iterator[str]:
    """Address of a page that shows the container and its original."""
    from nvc_jax.viewer.server import open_all, serving

    with serving(open_all([folder / "v.zarr", folder / "v.npy"])) as url:
        yield url
