"""The reference decoder and the package decode the same labels."""

import numpy as np
import pytest
from reference_labels import decode_labels

from nvc_jax.entropy.label_volumes import encode_labels

PADDED = (24, 40, 24)


@pytest.mark.parametrize("n_labels", [1, 2, 3, 9, 200])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_labels_decode_from_the_specification(n_labels: int, noise: float) -> None:
    rng = np.random.default_rng(n_labels)
    for shape in ((18, 40, 21), (3, 17, 24), (1, 1, 1)):
        z, y, x = np.indices(shape)
        height = np.sin(z / 9) + np.sin(y / 7 + 1) + np.sin(x / 8 + 2)
        labels = np.floor((height + 3) / 6.01 * n_labels).astype(np.uint8)
        labels[3:6] = labels[2:3]
        is_noise = rng.random(shape) < noise
        labels[is_noise] = rng.integers(0, n_labels, is_noise.sum())
        decoded = decode_labels(encode_labels(labels, PADDED), shape, PADDED)
        np.testing.assert_array_equal(decoded, labels)
