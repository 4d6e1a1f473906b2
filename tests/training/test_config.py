from pathlib import Path

import numpy as np

from nvc_jax.io.raw import RawFile
from nvc_jax.training.config import volume_names


def test_volumes_are_named_by_their_files_or_their_positions() -> None:
    volumes = ["data/a.npy", np.zeros((2, 2, 2)), Path("b.zarr"), RawFile("c.bin", (2, 2, 2))]
    assert volume_names(volumes) == ("a.npy", "volume-1", "b.zarr", "c.bin")
