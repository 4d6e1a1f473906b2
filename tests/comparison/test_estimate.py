import math
from pathlib import Path

import numpy as np
import pytest

import nvc_jax


@pytest.mark.parametrize("target", [{"relative_error": 0.01}, {"lossless": True}, {}])
def test_estimates_of_small_volumes_are_exact(target: dict, volume: np.ndarray, tmp_path: Path) -> None:
    (estimate,) = nvc_jax.estimate(volume, [target])
    result = nvc_jax.compress(volume, tmp_path / "v.zarr", **target)
    assert estimate.target == result.target
    assert (estimate.stored_bytes, estimate.max_error) == (
        pytest.approx(result.stored_bytes, abs=20),  # the fingerprint of the source is left out
        result.max_error,
    )
    assert estimate.ratio == pytest.approx(result.ratio, rel=0.01)
    assert (estimate.share, estimate.seconds > 0) == (1, True)
    assert (estimate.psnr_db == math.inf) == (result.max_error == 0)


def test_chunks_and_shards_count(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 9, (32, 32, 32)).astype(np.uint8)
    options = {"chunks": (8, 8, 8), "shards": (16, 16, 16)}
    (estimate,) = nvc_jax.estimate(volume, [{"lossless": True}], **options)
    result = nvc_jax.compress(volume, tmp_path / "v.zarr", lossless=True, **options)
    assert estimate.stored_bytes == pytest.approx(result.stored_bytes, abs=20)


def test_labels_are_lossless_whatever_is_tried() -> None:
    done = []
    labels = np.zeros((16, 16, 16), bool)
    labels[4:9, 3:7] = True
    estimates = nvc_jax.estimate(labels, on_progress=lambda *numbers: done.append(numbers))
    assert [estimate.target for estimate in estimates] == [{"lossless": True}]
    assert done[-1][1] == 7


def test_a_target_that_is_named_must_be_one() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        nvc_jax.estimate(np.zeros((8, 8, 8)), [{"psnr": 40, "step": 0.1}])
    with pytest.raises(ValueError, match="needs a spectral model"):
        nvc_jax.estimate(np.zeros((8, 8, 8), np.float32), [{"max_error": 1}], model="zero-margin")
