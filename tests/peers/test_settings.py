import numpy as np
import pytest

from nvc_jax.cli.demo import SAMPLE
from nvc_jax.core.errors import psnr_from_errors, squared_errors
from nvc_jax.io.volumes import read_volume
from nvc_jax.peers.codecs import LOSSY_PEERS
from nvc_jax.peers.settings import find_setting

VOLUME = read_volume(SAMPLE)[:20, :30, :72].astype(np.float32)
WIDTH = float(np.ptp(VOLUME))


@pytest.mark.parametrize(("key", "tolerance"), [("sperr", 0.1), ("sz3", 0.1), ("zfp", 4.0)])
def test_a_psnr_is_reached(key: str, tolerance: float) -> None:
    peer = LOSSY_PEERS[key]

    def psnr(setting: float) -> float:
        decoded = peer.decode(peer.encode_freely(VOLUME, setting), VOLUME.shape, VOLUME.dtype)
        return psnr_from_errors(WIDTH, [squared_errors(VOLUME, decoded)])

    assert psnr(find_setting(peer, WIDTH, psnr, 45.0, 0.1)) == pytest.approx(45, abs=tolerance)


def test_a_number_of_bytes_is_reached() -> None:
    peer = LOSSY_PEERS["sperr"]
    setting = find_setting(
        peer, WIDTH, lambda setting: len(peer.encode_freely(VOLUME, setting)), 9000.0, tolerance=90
    )
    assert len(peer.encode_freely(VOLUME, setting)) == pytest.approx(9000, abs=90)
