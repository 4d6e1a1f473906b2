import jax
import numpy as np
from fronts import fronts

import nvc_jax
from nvc_jax.io.measurements import open_measurements
from nvc_jax.spectral.post_filter import N_INPUTS
from nvc_jax.spectral.training.chunks import ChunkLoader, choose_chunks
from nvc_jax.spectral.training.filter_samples import sample_voxels
from nvc_jax.training.mesh import make_mesh


def test_samples_do_not_depend_on_the_devices_and_stand_for_all_voxels() -> None:
    profiles = nvc_jax.load_codec("nvc-1").params["entropy"]
    stores = [store for seed in range(3) for store in open_measurements(fronts(seed)[:16, :16, :13])]
    chunks = choose_chunks(stores, seed=0)
    one, two = (
        sample_voxels(profiles, ChunkLoader(chunks, make_mesh(jax.devices()[:n])), seed=5) for n in (1, 2)
    )
    for of_one, of_two in zip(one, two, strict=True):
        np.testing.assert_array_equal(of_one, of_two)
    n_voxels = len(one.errors)
    assert one.inputs.shape == (n_voxels, N_INPUTS)
    assert all(np.isfinite(array).all() for array in one)
    assert np.mean(one.weights) == np.float32(1) or abs(np.mean(one.weights) - 1) < 0.05
    # The noise is the root mean square error, to a quarter of a factor of two.
    assert 0.8 < np.mean(one.weights * one.errors**2) < 1.25
    # Voxels of large errors are drawn more often.
    assert np.mean(np.abs(one.errors)) > np.mean(one.weights * np.abs(one.errors))
