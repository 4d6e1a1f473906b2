import pytest

from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions


def test_options_are_static_arguments() -> None:
    assert hash(EncoderOptions()) == hash(DEFAULT_OPTIONS)
    assert EncoderOptions() == DEFAULT_OPTIONS


@pytest.mark.parametrize("lengths", [(), (12,), (8, 256)])
def test_unknown_lengths_are_refused(lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="segment_lengths"):
        EncoderOptions(segment_lengths=lengths)


@pytest.mark.parametrize("filters", [(), ("sharp",), ("none", "sharp")])
def test_unknown_filters_are_refused(filters: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="filters"):
        EncoderOptions(filters=filters)
