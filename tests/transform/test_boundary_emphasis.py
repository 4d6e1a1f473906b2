import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nvc_jax.chunks.spectral_chunk import ChunkCodec, Target

import nvc_jax
from nvc_jax.chunks.payload import parse_payload
from nvc_jax.core import chunk_grid
from nvc_jax.spectral import decoder, encoder, stream
from nvc_jax.transform import boundary_emphasis

FACES = [0, 0b1, 0b10, 0b001100, 0b100101, boundary_emphasis.ALL_BOUNDARIES]
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("which", FACES)
def test_emphasis_has_an_inverse_and_keeps_means(which: int) -> None:
    volume = RNG.normal(size=(8, 16, 24)).astype(np.float32)
    emphasized = np.asarray(boundary_emphasis.emphasize(jnp.asarray(volume), jnp.int32(which)))
    np.testing.assert_allclose(boundary_emphasis.deemphasize(emphasized, jnp.int32(which)), volume, atol=2e-6)
    means = [v.reshape(2, 4, 4, 4, 6, 4).mean(axis=(1, 3, 5)) for v in (volume, emphasized)]
    np.testing.assert_allclose(*means, atol=1e-6)
    assert np.array_equal(emphasized, volume) == (which == 0)


def test_only_what_lies_next_to_a_face_changes() -> None:
    volume = RNG.normal(size=(16, 16, 16)).astype(np.float32)
    changed = np.asarray(boundary_emphasis.emphasize(jnp.asarray(volume), jnp.int32(0b010000))) != volume
    assert changed[:, :, :4].mean() > 0.99
    assert not changed[:, :, 4:].any()
    mirrored = np.asarray(boundary_emphasis.emphasize(jnp.asarray(volume[:, :, ::-1]), jnp.int32(0b100000)))
    again = np.asarray(boundary_emphasis.emphasize(jnp.asarray(volume), jnp.int32(0b010000)))
    np.testing.assert_allclose(mirrored[:, :, ::-1], again, atol=1e-6)


def test_weights_are_those_of_the_blocks_at_the_faces() -> None:
    grid = (2, 3, 4)
    weights = np.asarray(boundary_emphasis.boundary_weights(grid, jnp.int32(0b100001))).reshape(
        *grid, 8, 8, 8
    )
    np.testing.assert_array_equal(weights[1, :, :3], 1)
    along_z, along_x = weights[0, 0, 0, :, 0, 0], weights[1, 0, 3, 0, 0, :]
    np.testing.assert_array_equal(along_z, along_x)
    assert (along_z > 1).all()
    # A constant over the block: the mean of the voxels' weights.
    np.testing.assert_allclose(along_z[0], np.sqrt(12 / 8), rtol=1e-6)
    corner = along_z[:, None, None] * along_x[None, None]
    np.testing.assert_allclose(weights[0, 1, 3], np.broadcast_to(corner, (8, 8, 8)), rtol=1e-6)


def test_inner_faces_are_those_with_a_neighbour() -> None:
    shape, chunk = (20, 8, 24), (8, 8, 8)
    found = {
        index: chunk_grid.inner_boundaries(chunk_grid.chunk_region(index, chunk, shape), shape)
        for index in ((0, 0, 0), (1, 0, 1), (2, 0, 2))
    }
    assert found == {(0, 0, 0): 0b100010, (1, 0, 1): 0b110011, (2, 0, 2): 0b010001}


def smooth(side: int) -> np.ndarray:
    """Noise without its high frequencies."""
    spectrum = np.fft.rfftn(np.random.default_rng(1).normal(size=(side,) * 3))
    axes = (np.fft.fftfreq(side), np.fft.fftfreq(side), np.fft.rfftfreq(side))
    squared = sum(f**2 for f in np.meshgrid(*axes, indexing="ij"))
    return np.fft.irfftn(spectrum / (1 + 2000 * squared) ** 1.5).astype(np.float32)


def test_errors_next_to_faces_are_smaller() -> None:
    """At the same PSNR of the whole: that is what emphasis is for."""
    volume = smooth(32)
    params = nvc_jax.load_codec("nvc-1").params
    numbers = [jnp.float32(v) for v in (volume.min(), volume.max(), 0.03)]
    ratios = []
    for which in (0, boundary_emphasis.ALL_BOUNDARIES):
        encoded = encoder.encode(
            params, volume, *numbers, jnp.array(volume.shape, jnp.int32), jnp.int32(which)
        )
        squared = (np.asarray(decoder.decode(params, encoded)) - volume) ** 2
        next_to_faces = np.ones(volume.shape, bool)
        next_to_faces[1:-1, 1:-1, 1:-1] = False
        ratios.append(squared[next_to_faces].mean() / squared.mean())
    assert ratios[1] < 0.8 * ratios[0], ratios


def test_faces_are_stored_and_bounds_have_none() -> None:
    volume = smooth(16)
    codec = ChunkCodec(nvc_jax.load_codec("nvc-1"), (16, 16, 16), volume.dtype)
    valid_shape = float(np.ptp(volume))
    bodies = [
        parse_payload(codec.encode(volume, target, boundaries=0b010010)).body
        for target in (Target(None, 0.05 * valid_shape), Target(0.05 * valid_shape, 0.05 * valid_shape))
    ]
    at = 20 + 10  # range and step, then words, lanes, filter and predictor
    assert [body[at] for body in bodies] == [0b010010, 0]


def test_payloads_with_other_faces_are_refused() -> None:
    volume = smooth(16)
    encoded = nvc_jax.encode_volume(nvc_jax.load_codec("nvc-1"), volume, step=0.05)
    payload = bytearray(stream.to_bytes(encoded))
    payload[10] = 64
    numbers = [float(v) for v in jax.device_get((encoded.minimum, encoded.maximum, encoded.step))]
    with pytest.raises(ValueError, match="faces 0b1000000"):
        stream.from_bytes(bytes(payload), encoded.shape, encoded.dtype, *numbers, n_profiles=4)
