from pathlib import Path

import numpy as np
import pytest

from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata
from nvc_jax.io.writers import write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def test_files_must_match_their_names(tmp_path: Path) -> None:
    path = tmp_path / "v_4x3x3_uint16.raw"
    VOLUME.tofile(path)
    with pytest.raises(ValueError, match="holds 48 bytes; its name says 72"):
        open_volume(path)
    path = path.rename(tmp_path / "v.raw")
    with pytest.raises(ValueError, match=r"name_XxYxZ_dtype\.raw"):
        open_volume(path)
    with pytest.raises(ValueError, match=r"_4x3x2_uint16\.raw"):
        write_volume(tmp_path / "v_2x3x4_uint16.raw", VOLUME)


def test_a_name_may_state_the_spacing(tmp_path: Path) -> None:
    path = tmp_path / "rock_4x3x2_0.5x1x2_uint16.raw"
    VOLUME.tofile(path)
    assert read_metadata(path) == VolumeMetadata(spacing=(2.0, 1.0, 0.5))
