"""A volume with missing values, its container, and an excerpt of both."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.reporting.excerpt import Excerpt, take_excerpt


class Stored(NamedTuple):
    """A volume, its container, and the excerpt of both."""

    volume: np.ndarray
    container: Path
    excerpt: Excerpt


def make_volume() -> np.ndarray:
    """Make a cut of the sample, 20 × 30 × 72 float32, of which 60 values are NaN."""
    volume = read_volume(SAMPLE)[:20, :30, :72].astype(np.float32)
    volume[10, 4:10, 30:40] = np.nan
    return volume


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A container with a bound of 2."""
    volume = make_volume()
    container = tmp_path_factory.mktemp("reporting") / "v.zarr"
    nvc_jax.compress(volume, container, max_error=2)
    return Stored(volume, container, take_excerpt(volume, container, None))
