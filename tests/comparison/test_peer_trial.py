import math

import pytest

from nvc_jax.comparison.peer_trial import try_bound, try_lossless, try_psnr
from nvc_jax.comparison.subject import Subject
from nvc_jax.peers.codecs import LOSSLESS_PEERS, LOSSY_PEERS


@pytest.mark.parametrize("key", LOSSY_PEERS)
def test_bounds_are_kept(key: str, subject: Subject) -> None:
    trial = try_bound(subject, LOSSY_PEERS[key], 1.5)
    assert 0 < trial.quality.max_error <= 1.5
    assert trial.quality.psnr_db > 40
    assert min(trial.encode_seconds, trial.decode_seconds) > 0


def test_a_psnr_is_reached(subject: Subject) -> None:
    trial = try_psnr(subject, LOSSY_PEERS["sperr"], 45)
    assert trial.quality.psnr_db == pytest.approx(45, abs=0.1)
    assert trial.n_bytes < try_psnr(subject, LOSSY_PEERS["sz3"], 45).n_bytes


@pytest.mark.parametrize("key", LOSSLESS_PEERS)
def test_every_bit_comes_back(key: str, subject: Subject) -> None:
    trial = try_lossless(subject, LOSSLESS_PEERS[key])
    assert (trial.quality.psnr_db, trial.quality.max_error) == (math.inf, 0)
    assert 0 < trial.n_bytes < 4 * subject.n_voxels
