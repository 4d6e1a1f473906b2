import jax
import numpy as np

from nvc_jax.autoencoder.training.augmentation import random_symmetry


def test_symmetries_permute_voxels() -> None:
    blocks = jax.random.uniform(jax.random.key(0), (2, 3, 3, 3))
    apply_symmetry = jax.jit(lambda key: random_symmetry(blocks, key=key))
    images = {np.asarray(apply_symmetry(jax.random.key(i))).tobytes() for i in range(200)}
    assert len(images) > 30
    for image in images:
        values = np.frombuffer(image, np.float32).reshape(2, -1)
        np.testing.assert_array_equal(np.sort(values), np.sort(np.asarray(blocks).reshape(2, -1)))
