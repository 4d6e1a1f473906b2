import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from nvc_jax.evaluation import metrics

in_slabs = pytest.mark.parametrize("slab_voxels", [metrics.SLAB_VOXELS, 1], ids=["one-slab", "plane-slabs"])


def noisy_pair(shape, dtype=np.float32, offset=0.0):
    rng = np.random.default_rng(7)
    original = rng.normal(size=shape).cumsum(axis=0) + offset
    return original.astype(dtype), (original + 0.3 * rng.normal(size=shape)).astype(dtype)


@in_slabs
def test_errors_equal_those_computed_by_hand(slab_voxels):
    original = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    decoded = original.astype(np.float32)
    decoded[0, 0, 0] = -2
    decoded[1, 1, 1] = 11
    assert metrics.mse(original, decoded, slab_voxels=slab_voxels) == (4 + 16) / 8
    assert metrics.max_error(original, decoded, slab_voxels=slab_voxels) == 4
    assert metrics.psnr_db(original, decoded, slab_voxels=slab_voxels) == pytest.approx(
        20 * math.log10(7) - 10 * math.log10(2.5)
    )


def test_unsigned_differences_do_not_wrap():
    original, decoded = np.full((1, 1, 2), 3, np.uint8), np.full((1, 1, 2), 5, np.uint8)
    assert metrics.mse(original, decoded) == 4
    assert metrics.mse(decoded, original) == 4


@in_slabs
@pytest.mark.parametrize("shape", [(7, 7, 7), (16, 12, 9), (9, 20, 31), (30, 8, 8)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_ssim_equals_skimage(shape, dtype, slab_voxels):
    original, decoded = noisy_pair(shape, dtype, offset=5)
    x, y = original.astype(np.float64), decoded.astype(np.float64)
    expected = structural_similarity(x, y, data_range=x.max() - x.min())
    assert metrics.ssim(original, decoded, slab_voxels=slab_voxels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("shape", "window"), [((6, 12, 9), 5), ((3, 9, 9), 3), ((10, 4, 10), 3)])
def test_ssim_window_shrinks_to_the_shortest_side(shape, window):
    x, y = noisy_pair(shape, np.float64)
    expected = structural_similarity(x, y, win_size=window, data_range=x.max() - x.min())
    assert metrics.ssim(x, y) == pytest.approx(expected, abs=1e-12)


def test_ssim_of_one_voxel_windows_is_the_luminance_term():
    x, y = np.array([[[0.0, 1.0]]]), np.array([[[0.0, 0.5]]])
    expected = (1 + (2 * 0.5 + 1e-4) / (1 + 0.25 + 1e-4)) / 2
    assert metrics.ssim(x, y) == pytest.approx(expected)


@in_slabs
@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-400, 2.0**400, 2.0**1000])
def test_psnr_and_ssim_do_not_depend_on_the_unit(scale, slab_voxels):
    original, decoded = noisy_pair((9, 9, 9), np.float64)
    expected = metrics.quality(original, decoded, 100, slab_voxels=slab_voxels)
    measured = metrics.quality(original * scale, decoded * scale, 100, slab_voxels=slab_voxels)
    assert measured["psnr_db"] == pytest.approx(expected["psnr_db"], abs=1e-9)
    assert measured["ssim"] == pytest.approx(expected["ssim"], abs=1e-9)
    assert measured["max_error"] == expected["max_error"] * scale


def test_ssim_keeps_its_digits_far_from_zero():
    x, y = noisy_pair((9, 9, 9), np.float64)
    # Far from zero the luminance term is 1 whatever the offset; the variances must not drown.
    assert metrics.ssim(x + 1e6, y + 1e6) == pytest.approx(metrics.ssim(x + 1e4, y + 1e4), abs=1e-6)


@pytest.mark.parametrize("window", [0, -1, 4])
def test_ssim_rejects_windows_that_are_not_odd_and_positive(window):
    with pytest.raises(ValueError, match="odd and positive"):
        metrics.ssim(np.ones((8, 8, 8)), np.ones((8, 8, 8)), window)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 3), (8, 9, 10)])
def test_an_identical_copy_has_no_error(shape):
    x, _ = noisy_pair(shape)
    measures = metrics.quality(x, x, 10)
    assert (measures["psnr_db"], measures["mse"], measures["max_error"]) == (math.inf, 0, 0)
    assert measures["ssim"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (5, 1, 1, 1), (2, 3, 1, 1, 1), (2, 1, 4, 5)])
def test_steps_may_have_sides_of_one_voxel(shape):
    x, _ = noisy_pair(shape)
    measures = metrics.quality(x, x, 10)
    assert (measures["psnr_db"], measures["ssim"]) == (math.inf, pytest.approx(1, abs=1e-12))


def test_a_range_beyond_float64_gives_no_warning():
    original, _ = noisy_pair((9, 9, 9), np.float64)
    original *= np.finfo(np.float64).max / np.abs(original).max()
    original[0, 0, 0] = -np.finfo(np.float64).max
    measures = metrics.quality(original, original, 10)
    assert (measures["psnr_db"], measures["max_error"]) == (math.inf, 0)


def test_a_constant_original_is_matched_or_not():
    x = np.full((8, 8, 8), 3.0)
    assert metrics.ssim(x, x) == 1
    assert metrics.ssim(x, x + 1) == 0
    assert metrics.psnr_db(x, x + 1) == -math.inf


@in_slabs
def test_non_finite_voxels_are_left_out(slab_voxels):
    original, decoded = noisy_pair((9, 10, 11), np.float64)
    holed, junk = original.copy(), decoded.copy()
    holes = np.zeros(original.shape, bool)
    holes[2:4, 3, :] = holes[8] = True
    holed[holes], holed[2, 3, 0], holed[2, 3, 1] = np.nan, np.inf, -np.inf
    junk[holes], junk[2, 3, 0] = 1e9, np.inf
    x, y = original[~holes], decoded[~holes]
    error = np.mean((x - y) ** 2)
    assert metrics.mse(holed, junk, slab_voxels=slab_voxels) == pytest.approx(error)
    assert metrics.max_error(holed, junk, slab_voxels=slab_voxels) == np.abs(x - y).max()
    assert metrics.psnr_db(holed, junk, slab_voxels=slab_voxels) == pytest.approx(
        20 * np.log10(np.ptp(x)) - 10 * np.log10(error)
    )
    filled = [np.where(holes, x.min(), volume) for volume in (original, decoded)]
    expected = structural_similarity(*filled, data_range=np.ptp(x))
    assert metrics.ssim(holed, junk, slab_voxels=slab_voxels) == pytest.approx(expected, abs=1e-12)


def test_no_finite_voxel_gives_nan():
    x = np.full((7, 7, 7), np.nan)
    measures = metrics.quality(x, x, 1)
    assert all(math.isnan(measures[key]) for key in ("mse", "psnr_db", "max_error", "ssim"))


@in_slabs
@pytest.mark.parametrize(("bad", "expected"), [(np.nan, math.nan), (np.inf, math.inf)])
def test_decoded_non_finite_voxels_show(bad, expected, slab_voxels):
    x, y = noisy_pair((8, 8, 8))
    y[0, 4, 4] = bad
    assert metrics.mse(x, y, slab_voxels=slab_voxels) == pytest.approx(expected, nan_ok=True)
    assert metrics.max_error(x, y, slab_voxels=slab_voxels) == pytest.approx(expected, nan_ok=True)
    assert metrics.psnr_db(x, y, slab_voxels=slab_voxels) == pytest.approx(-expected, nan_ok=True)
    assert math.isnan(metrics.ssim(x, y, slab_voxels=slab_voxels))


@in_slabs
def test_border_jump_of_constant_blocks_is_the_step_between_them(slab_voxels):
    z, y, x = np.indices((8, 12, 10)) // 4
    # Steps of 1, 2 and 3 across the borders of the three axes; nothing inside.
    assert metrics.border_jump(z + 2.0 * y + 3.0 * x, 4, slab_voxels=slab_voxels) == (2.0, 0.0)


@in_slabs
def test_border_jump_of_a_ramp_is_its_slope(slab_voxels):
    z, y, x = np.indices((5, 6, 7)).astype(np.float32)
    ramp = z + 2 * y + 3 * x
    assert metrics.border_jump(ramp, 3, slab_voxels=slab_voxels) == (2.0, 2.0)
    across, inside = metrics.border_jump(ramp, 6, slab_voxels=slab_voxels)
    assert (across, inside) == (3.0, 2.0)  # only the x axis has a border
    assert math.isnan(metrics.border_jump(ramp, 8, slab_voxels=slab_voxels)[0])
    assert math.isnan(metrics.border_jump(ramp, 1, slab_voxels=slab_voxels)[1])
    ramp[2, 2, 2], ramp[3, 3, 3], ramp[3, 3, 4] = np.nan, np.inf, np.inf
    assert metrics.border_jump(ramp, 3, slab_voxels=slab_voxels) == (2.0, 2.0)
    with pytest.raises(ValueError, match="block_size"):
        metrics.border_jump(ramp, 0, slab_voxels=slab_voxels)


def test_bits_per_voxel_count_eight_a_byte():
    assert metrics.bits_per_voxel(100, 400) == 2
    for arguments in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            metrics.bits_per_voxel(*arguments)


def test_quality_agrees_with_its_parts():
    x, y = noisy_pair((8, 8, 8))
    assert metrics.quality(x, y, 64) == {
        "bits_per_voxel": 1.0,
        "ratio": 32.0,
        "mse": metrics.mse(x, y),
        "psnr_db": metrics.psnr_db(x, y),
        "max_error": metrics.max_error(x, y),
        "ssim": metrics.ssim(x, y),
    }
    assert metrics.quality(x.astype(np.float16), y, 64)["ratio"] == 16


@pytest.mark.parametrize("measure", [metrics.mse, metrics.psnr_db, metrics.max_error, metrics.ssim])
def test_volumes_of_different_shapes_are_rejected(measure):
    with pytest.raises(ValueError, match=r"\(2, 3, 4\).*\(2, 3, 5\)"):
        measure(np.zeros((2, 3, 4)), np.zeros((2, 3, 5)))
