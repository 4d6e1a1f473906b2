import math

import numpy as np
import pytest

import nvc_jax


def test_codecs_are_put_side_by_side(volume: np.ndarray) -> None:
    done = []
    rows = nvc_jax.compare(
        volume,
        [{"relative_error": 0.01}, {"lossless": True}],
        against=["SPERR", "zfp"],
        on_progress=lambda *numbers: done.append(numbers),
    )
    assert [row.codec for row in rows] == ["nvc-1", "SPERR", "zfp", "nvc-1", "Zstandard", "Blosc2"]
    for row in rows[:3]:
        assert 0 < row.max_error <= 0.01 * np.ptp(volume)
        assert row.ratio == pytest.approx(32 / row.bits_per_voxel)
        assert min(row.encode_mb_per_second, row.decode_mb_per_second) > 0
        assert row.share == 1
    for row in rows[3:]:
        assert (row.max_error, row.psnr_db) == (0, math.inf)
    assert rows[0].bits_per_voxel < rows[1].bits_per_voxel < rows[2].bits_per_voxel
    assert done[-1] == (6, 6)


def test_an_error_of_nothing_means_lossless(volume: np.ndarray) -> None:
    rows = nvc_jax.compare(np.full((8, 8, 8), 3.0), [{"relative_error": 0.1}])
    assert [row.codec for row in rows] == ["nvc-1", "Zstandard", "Blosc2"]


@pytest.mark.parametrize(
    "target", [{"step": 0.1}, {"pointwise_error": 0.1}, {}, {"psnr": 40, "lossless": True}]
)
def test_targets_that_others_do_not_have_are_refused(target: dict) -> None:
    with pytest.raises(ValueError, match="must be one of max_error, relative_error, psnr, lossless"):
        nvc_jax.compare(np.zeros((8, 8, 8)), [target])
