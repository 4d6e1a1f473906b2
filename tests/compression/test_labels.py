from pathlib import Path

import numpy as np
import pytest
from example_chunks import smooth_values
from sample_volume import VOLUME

import nvc_jax
from nvc_jax.compression.labels import holds_labels
from nvc_jax.io.volumes import open_volume

SHAPE = (40, 44, 48)


def regions(n_labels: int, seed: int = 0) -> np.ndarray:
    """Label each voxel of a volume by the nearest of random points."""
    points = np.random.default_rng(seed).uniform(0, 48, (n_labels, 3))
    z, y, x = np.indices(SHAPE)
    distances = [(z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 for a, b, c in points]
    return np.argmin(distances, axis=0)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "uint64"])
def test_segmentations_and_masks_are_labels(dtype: str) -> None:
    labels = np.random.default_rng(1).permutation(100)[regions(40)]
    assert holds_labels(open_volume(labels.astype(dtype)))
    assert holds_labels(open_volume((labels > 50).astype(dtype)))
    tissues = np.digitize(smooth_values(SHAPE), [0.3, 0.6, 0.8])  # whose labels differ by 1 at borders
    assert holds_labels(open_volume(tissues.astype(dtype)))


def test_identifiers_beyond_float64_are_labels() -> None:
    assert holds_labels(open_volume(regions(40).astype(np.uint64) + np.uint64(2**63)))


@pytest.mark.parametrize(
    "volume",
    [
        np.zeros(SHAPE, np.uint8),
        np.random.default_rng(0).integers(0, 9, SHAPE, dtype=np.uint8),
        (255 * smooth_values(SHAPE)).astype(np.uint8),
        np.where(smooth_values(SHAPE) > 0.7, 900 * smooth_values(SHAPE), 0).astype(np.int16),
        regions(40).astype(np.float32),
        np.zeros((1, 1, 1), np.int64),
    ],
    ids=["constant", "noise", "smooth", "background", "float", "one voxel"],
)
def test_measured_quantities_are_no_labels(volume: np.ndarray) -> None:
    assert not holds_labels(open_volume(volume))
    assert not holds_labels(open_volume(VOLUME))


def test_labels_are_lossless_unless_a_target_is_named(tmp_path: Path) -> None:
    z, y, x = np.indices((16, 16, 24))
    labels = (49 * (z // 8) + 21 * (y // 8) + 7 * (x // 12)).astype(np.uint16)
    result = nvc_jax.compress(labels, tmp_path / "v.zarr", chunks=(16, 16, 24))
    assert result.target == {"lossless": True}
    np.testing.assert_array_equal(nvc_jax.open(tmp_path / "v.zarr").read().result(), labels)
    result = nvc_jax.compress(labels, tmp_path / "v.zarr", chunks=(16, 16, 24), step=0.01)
    assert "step" in (result.target or {})
