from typing import Any

import numpy as np
import pytest

from nvc_jax.comparison.subject import Subject, take_subject
from nvc_jax.compression.preparation import ValueOptions

CHUNKS = (8, 8, 8)


def take(volume: np.ndarray, **values: Any) -> Subject:
    return take_subject(volume, "nvc-1", ValueOptions(**values), (CHUNKS, None), 4 * 8**3)


def test_a_small_volume_is_tried_whole(subject: Subject, volume: np.ndarray) -> None:
    assert subject.n_sampled == subject.n_voxels == volume.size
    assert subject.n_chunks == 1
    assert (subject.value_range.low, subject.value_range.high) == (volume.min(), volume.max())
    assert subject.prepared.target == {"relative_error": 0.01}


def test_a_sample_has_quiet_and_busy_chunks_in_proportion() -> None:
    volume = np.zeros((32, 32, 32), np.float32)
    volume[16:] = np.random.default_rng(0).normal(size=(16, 32, 32))
    taken = take(volume)
    assert len(taken.sample) == 4
    assert sum(region[0].start >= 16 for region in taken.sample) == 2
    assert taken.n_sampled == 4 * 8**3


def test_values_that_are_no_measurement_do_not_count() -> None:
    volume = np.ones((16, 16, 16), np.float32)
    volume[0, 0, :3], volume[1] = (np.nan, -999, 5), 7
    taken = take(volume, missing_values=[-999], exact_values=[7])
    assert (taken.value_range.low, taken.value_range.high) == (1, 7)
    assert taken.value_range.exact_values == (7,)
    chunk = taken.read((slice(0, 8),) * 3)
    assert (~taken.mark_valid(chunk)).sum() == 2


def test_containers_and_values_beyond_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="do not hold the volume's values"):
        take(np.arange(4096.0).reshape(16, 16, 16), value_limits=(0, 100))
    with pytest.raises(ValueError, match="must lie between 10 and 90 dB"):
        take(np.ones((16, 16, 16))).with_target(psnr=99)
