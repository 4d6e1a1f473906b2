"""The sample volume that the package's tests try."""

import numpy as np
import pytest

from nvc_jax.cli.demo import SAMPLE
from nvc_jax.comparison.subject import Subject, take_subject
from nvc_jax.compression.preparation import ValueOptions
from nvc_jax.io.volumes import read_volume


@pytest.fixture(scope="session")
def volume() -> np.ndarray:
    """A cut of 20 × 30 × 72 voxels, float32."""
    return read_volume(SAMPLE)[:20, :30, :72].astype(np.float32)


@pytest.fixture(scope="session")
def subject(volume: np.ndarray) -> Subject:
    """The volume in one chunk, with a relative error of 0.01."""
    taken = take_subject(volume, "nvc-1", ValueOptions(), (None, None), 1 << 20)
    return taken.with_target(relative_error=0.01)
