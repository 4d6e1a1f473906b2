import numpy as np
import pytest

from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.peers.codecs import LOSSLESS_PEERS, LOSSY_PEERS, Blosc2, Zstandard, find_peers

VOLUME = read_volume(SAMPLE)[:20, :30, :72].astype(np.float32)


@pytest.mark.parametrize("key", LOSSY_PEERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(20, 30, 72), (1, 30, 72), (30, 72)])
def test_lossy_codecs_keep_their_bound(key: str, dtype: str, shape: tuple[int, ...]) -> None:
    values = VOLUME.reshape(-1)[: np.prod(shape)].reshape(shape).astype(dtype)
    peer = LOSSY_PEERS[key]
    data = peer.encode(values, 2.0)
    decoded = peer.decode(data, shape, dtype)
    assert (decoded.shape, decoded.dtype) == (shape, dtype)
    assert 0 < np.abs(decoded - values).max() <= 2
    assert len(data) < values.nbytes


@pytest.mark.parametrize("key", LOSSY_PEERS)
def test_coarser_settings_take_fewer_bytes(key: str) -> None:
    peer = LOSSY_PEERS[key]
    low, high = peer.coarseness_limits(255.0)
    sizes = [
        len(peer.encode_freely(VOLUME, peer.setting_at(low + share * (high - low)))) for share in (0.3, 0.7)
    ]
    assert sizes[0] > sizes[1]


def test_lossless_codecs_restore_every_byte() -> None:
    for peer in LOSSLESS_PEERS.values():
        data = peer.encode(VOLUME)
        assert peer.decode(data) == VOLUME.tobytes()
        assert len(data) < VOLUME.nbytes
    raw = VOLUME.tobytes()
    assert len(Blosc2(itemsize=4).encode(raw)) < len(Zstandard(level=1).encode(raw))


def test_versions_are_numbers() -> None:
    for peer in (LOSSY_PEERS | LOSSLESS_PEERS).values():
        assert peer.version[0].isdigit()


def test_names_are_found_in_any_case() -> None:
    assert [peer.name for peer in find_peers(["SZ3", " zfp"], "against")] == ["SZ3", "zfp"]
    assert find_peers([], "against") == []
    with pytest.raises(ValueError, match=r"`against` \(=sperr,jpeg\): 'jpeg' is no codec known here; name"):
        find_peers(["sperr", "jpeg"], "against")
    with pytest.raises(ValueError, match="'zfp' is named twice"):
        find_peers(["zfp", "zfp"], "against")


def test_lines_are_refused_before_they_end_the_process() -> None:
    with pytest.raises(ValueError, match=r"two or three axes longer than 1, not values of shape \(1, 1, 9\)"):
        LOSSY_PEERS["sperr"].encode(np.zeros((1, 1, 9), np.float32), 1.0)
