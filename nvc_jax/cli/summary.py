"""Summaries of runs: what was asked for, what was reached, how large and how fast."""

from typing import TYPE_CHECKING, Any

from nvc_jax.cli.progress import ByteMeter
from nvc_jax.cli.quantities import format_bytes, format_rate, megabytes_per_second

if TYPE_CHECKING:
    from nvc_jax.compression.result import CompressionResult

_BY_DEFAULT = {
    "relative_error": "no target was given: no voxel changes by more than {value:g} of max − min; "
    "say --max-error, --relative-error, --psnr or --lossless to choose",
    "lossless": "no target was given, and these values are labels: every bit comes back; "
    "say --max-error or another target to change them",
    "latents": "no target was given: this model keeps no bound on errors; nvc-1, the default, does",
}
"""Sentences about the target that a model takes by default."""
_LEAST_SECONDS = 0.1
"""Seconds of compiling from which on they are mentioned."""


def advise(result: "CompressionResult") -> str | None:
    """Say which target was taken where the user named none; None where a sentence says nothing new."""
    assert result.target is not None
    ((name, value),) = result.target.items()
    return _BY_DEFAULT[name].format(value=value) if name in _BY_DEFAULT else None


def describe_compression(result: "CompressionResult", output: str, meter: ByteMeter) -> str:
    """Summarise a compression in a line: target, largest error, ratio, size and speed."""
    assert result.stored_bytes is not None
    stored = format_bytes(result.stored_bytes)
    size = f"ratio {result.ratio:.2f}, {result.bits_per_voxel:.3g} bits/voxel, {stored}"
    return f"{output}: {describe_quality(result)}; {size}; {describe_speed(meter)}"


def describe_speed(meter: ByteMeter) -> str:
    """Say how fast a run was, and how long it compiled programs."""
    speed = format_rate(_done_bytes(meter), meter.seconds)
    seconds = meter.compile_seconds
    return f"{speed}, {seconds:.2g} s of them compiling, once" if seconds >= _LEAST_SECONDS else speed


def describe_quality(result: "CompressionResult") -> str:
    """Say what a container keeps, and its largest error."""
    assert result.target is not None
    ((name, value),) = result.target.items()
    if name == "lossless":
        return "lossless"
    largest = f"largest error {result.max_error:.4g}" if result.max_error else "every voxel exact"
    if name in ("max_error", "relative_error"):
        asked = "" if name == "max_error" else f", {value:g} of max − min"
        return f"{largest} (bound {result.bound:.4g}{asked})"
    asked = {
        "pointwise_error": f"each voxel within {value:g} of its own magnitude",
        "psnr": f"PSNR {value:g} dB",
        "step": f"step {value:g}, no bound",
        "latents": "latents as they are, no bound",
    }[name]
    return f"{asked}, {largest}"


def compression_values(result: "CompressionResult", output: str, meter: ByteMeter) -> dict[str, Any]:
    """List what ``--json`` prints of a compression."""
    names = (
        "model",
        "target",
        "bound",
        "max_error",
        "source_bytes",
        "stored_bytes",
        "bits_per_voxel",
        "ratio",
    )
    return {"container": output} | {name: getattr(result, name) for name in names} | speed_values(meter)


def speed_values(meter: ByteMeter) -> dict[str, float]:
    """List seconds and speed of a run: those of compiling are among the seconds."""
    return {
        "seconds": meter.seconds,
        "compile_seconds": meter.compile_seconds,
        "mb_per_second": megabytes_per_second(_done_bytes(meter), meter.seconds),
    }


def _done_bytes(meter: ByteMeter) -> int:
    return 0 if meter.latest is None else meter.latest.done_bytes
