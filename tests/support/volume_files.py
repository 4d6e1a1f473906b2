"""Volume that the tests of every file format write, and the check that a file gives it back."""

from pathlib import Path

import numpy as np

from nvc_jax.io.volumes import open_volume

FILE_VOLUME = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)


def check_opens_as_written(path: Path) -> None:
    """Compare the dtype, all voxels and those of a region of a file with ``FILE_VOLUME``."""
    store = open_volume(path)
    assert store.dtype.numpy_dtype == np.int16
    np.testing.assert_array_equal(store.read().result(), FILE_VOLUME)
    np.testing.assert_array_equal(store[1:4, 2, 3:].read().result(), FILE_VOLUME[1:4, 2, 3:])
