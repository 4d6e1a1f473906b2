"""A directory with a volume, in which commands run."""

from pathlib import Path

import numpy as np
import pytest

from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working directory that holds ``v.npy``, 20 × 24 × 28 uint8."""
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", read_volume(SAMPLE)[:20, :24, :28])
    return tmp_path
