import numpy as np
import pytest

from nvc_jax.peers.codecs import LOSSY_PEERS
from nvc_jax.reporting.against import encode_by_peers, measure_copy

PEERS = list(LOSSY_PEERS.values())


def test_others_keep_the_same_bound(stored) -> None:
    copies = encode_by_peers(stored.excerpt, PEERS, 2.0)
    assert [copy.name for copy in copies] == ["SPERR", "SZ3", "zfp"]
    for copy in copies:
        assert 0 < copy.figures["max_error"] <= 2
        assert np.isnan(copy.errors).sum() == 60
        assert copy.version[0].isdigit()


def test_others_take_the_same_bits_where_there_is_no_bound(stored) -> None:
    own = measure_copy("nvc-1", "", stored.excerpt, stored.excerpt.decoded, stored.excerpt.stored_bytes)
    for copy in encode_by_peers(stored.excerpt, PEERS[:2], None):
        assert copy.figures["bits_per_voxel"] == pytest.approx(own.figures["bits_per_voxel"], rel=0.02)
        assert 30 < copy.figures["psnr_db"] < 60
