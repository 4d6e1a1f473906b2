from pathlib import Path

import numpy as np
import pytest

import nvc_jax
from nvc_jax.comparison.subject import Subject
from nvc_jax.comparison.trial import measure_quality, try_target


def test_a_trial_is_what_compress_does(subject: Subject, volume: np.ndarray, tmp_path: Path) -> None:
    trial = try_target(subject)
    result = nvc_jax.compress(volume, tmp_path / "v.zarr", relative_error=0.01)
    assert trial.quality.max_error == result.max_error
    assert trial.quality.psnr_db == pytest.approx(nvc_jax.evaluate(volume, tmp_path / "v.zarr")["psnr_db"])
    assert trial.payload_bytes == (tmp_path / "v.zarr/c/0/0/0").stat().st_size - 4
    assert min(trial.resolve_seconds, trial.encode_seconds, trial.decode_seconds) > 0


def test_errors_are_relative_to_the_range(subject: Subject, volume: np.ndarray) -> None:
    quality = measure_quality(subject, [volume + 1])
    assert quality.max_error == pytest.approx(1)
    assert quality.psnr_db == pytest.approx(20 * np.log10(np.ptp(volume)))
