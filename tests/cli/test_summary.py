from typing import Any

import pytest

from nvc_jax.cli.progress import ByteMeter
from nvc_jax.cli.summary import (
    advise,
    compression_values,
    describe_compression,
    describe_quality,
    speed_values,
)
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.compression.result import CompressionResult


def result_of(
    target: dict[str, Any], max_error: float = 0.25, bound: float | None = None
) -> CompressionResult:
    return CompressionResult(
        "v.zarr",
        "nvc-1",
        is_complete=True,
        stored_bytes=1_000_000,
        ratio=8.0,
        bits_per_voxel=4.0,
        max_error=max_error,
        target=target,
        bound=bound,
        source_bytes=8_000_000,
    )


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (result_of({"max_error": 0.5}, bound=0.5), "largest error 0.25 (bound 0.5)"),
        (
            result_of({"relative_error": 0.001}, bound=0.3),
            "largest error 0.25 (bound 0.3, 0.001 of max − min)",
        ),
        (
            result_of({"relative_error": 0.001}, 0, 0.3),
            "every voxel exact (bound 0.3, 0.001 of max − min)",
        ),
        (
            result_of({"pointwise_error": 0.01}),
            "each voxel within 0.01 of its own magnitude, largest error 0.25",
        ),
        (result_of({"psnr": 45.0}), "PSNR 45 dB, largest error 0.25"),
        (result_of({"step": 0.02}), "step 0.02, no bound, largest error 0.25"),
        (result_of({"latents": True}), "latents as they are, no bound, largest error 0.25"),
        (result_of({"lossless": True}, 0), "lossless"),
    ],
)
def test_quality_is_target_and_largest_error(result: CompressionResult, text: str) -> None:
    assert describe_quality(result) == text


def test_a_summary_has_quality_size_and_speed() -> None:
    meter = ByteMeter(None)
    meter(ByteProgress(8_000_000, 8_000_000, 900_000, (64, 64, 64), "float32"))
    meter.stop()
    line = describe_compression(result_of({"psnr": 45.0}), "v.zarr", meter)
    assert line.startswith("v.zarr: PSNR 45 dB, largest error 0.25; ratio 8.00, 4 bits/voxel, 1 MB; ")
    assert " MB/s in " in line
    assert "compiling" not in line
    values = compression_values(result_of({"psnr": 45.0}), "v.zarr", meter)
    assert values["target"] == {"psnr": 45.0}
    assert values.items() >= speed_values(meter).items()


def test_what_was_decided_is_said() -> None:
    assert "more than 0.001 of max − min; say --max-error" in (
        advise(result_of({"relative_error": 1e-3})) or ""
    )
    assert "labels: every bit comes back" in (advise(result_of({"lossless": True})) or "")
    assert "keeps no bound" in (advise(result_of({"latents": True})) or "")
    assert advise(result_of({"step": 0.05})) is None
