import pytest
from nvc_jax.transform.block_modes import LAPPED, PLAIN

from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions


def test_options_are_static_arguments() -> None:
    assert hash(EncoderOptions()) == hash(DEFAULT_OPTIONS)
    assert EncoderOptions() == DEFAULT_OPTIONS


@pytest.mark.parametrize("candidates", [(), (("none", PLAIN),), (("sharp", LAPPED),)])
def test_unknown_candidates_are_refused(candidates: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(ValueError, match="candidates"):
        EncoderOptions(candidates=candidates, tries_plain_superblocks=False)


def test_plain_superblocks_need_their_candidate_first() -> None:
    with pytest.raises(ValueError, match="plain superblocks"):
        EncoderOptions(candidates=(("half", LAPPED), ("none", LAPPED)))
