import dataclasses

import pytest

from nvc_jax.comparison.compare import ComparedCodec
from nvc_jax.comparison.verdict import describe_target, judge


def row(codec: str, bits: float, speed: float = 50.0) -> ComparedCodec:
    return ComparedCodec({"psnr": 45.0}, codec, "1", bits, 32 / bits, 45.0, 1.0, speed, speed, 0.0, 1.0)


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ([("SPERR", 3.0, 40), ("zfp", 6.0, 60)], "45 dB: use nvc-1: SPERR, the next best, takes 1.50 times"),
        ([("SPERR", 1.6, 40)], "45 dB: use SPERR: nvc-1 takes 1.25 times its bits on this volume."),
        ([("SPERR", 2.01, 40)], "45 dB: nvc-1 and SPERR take about the same bits."),
        ([("zfp", 5.0, 500)], "zfp encodes 10 times as fast, with 2.50 times the bits."),
        ([], "45 dB: nvc-1 takes 2 bits per voxel."),
    ],
)
def test_the_best_codec_is_named_whoever_it_is(others: list, verdict: str) -> None:
    assert verdict in judge([row("nvc-1", 2.0), *(row(*other) for other in others)])


def test_targets_have_names() -> None:
    assert describe_target({"lossless": True}) == "lossless"
    assert describe_target({"relative_error": 1e-3}) == "relative error 0.001"


def test_a_codec_that_misses_the_psnr_is_not_the_best() -> None:
    coarse = dataclasses.replace(row("zfp", 1.0, 500), psnr_db=42.0)
    verdict = judge([row("nvc-1", 2.0), row("SPERR", 3.0), coarse])
    assert "use nvc-1: SPERR" in verdict
    assert "with 0.50 times the bits, but reaches 42.0 dB." in verdict
    assert judge([row("nvc-1", 2.0), coarse]) == "45 dB: use nvc-1: no other codec reaches it."
