"""A volume through several models: compressed, decompressed, measured and drawn."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nvc_jax.compression.compress import compress
from nvc_jax.compression.decompress import decompress
from nvc_jax.container.store import open_container
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.evaluation.figures import save_panels
from nvc_jax.evaluation.metrics import quality
from nvc_jax.evaluation.rendering import render
from nvc_jax.io.paths import output_path
from nvc_jax.io.replaceable import check_replaceable
from nvc_jax.io.volumes import read_volume
from nvc_jax.models.checkpoints import shipped_models

_BRIGHTEST_ERROR = 0.2
"""Error, as a share of the range, that is drawn white."""


def run_demo(
    sample: Path,
    picture: Path | str,
    models: Sequence[str] | None = None,
    *,
    overwrite: bool = False,
) -> dict[str, dict[str, float]]:
    """Compress and decompress a volume with several models, measure, and draw.

    Args:
        sample: path of the volume.
        picture: path of the PNG: renderings, a slice and its errors, original first.
        models: names, or directories of checkpoints; None for all models that ship with the package.
        overwrite: whether to replace a file that lies at ``picture``.

    Returns:
        For each model the measures of ``quality``, and ``compress_seconds`` and ``decompress_seconds``
        of a second call, files included, once the programs are compiled.

    Raises:
        FileExistsError: something lies at ``picture`` that is not replaced.
        FileNotFoundError: there is no such model, or no directory for the picture.
        ModuleNotFoundError: matplotlib is missing; the message has the command that installs it.
    """
    import_extra("matplotlib", "plot")
    check_replaceable(output_path(picture), overwrite)
    original = read_volume(sample)
    decoded, measures = {}, {}
    for name in shipped_models() if models is None else models:
        decoded[name], measures[name] = _measure(name, original)
    _draw(picture, original, decoded, overwrite)
    return measures


def _measure(model: str, original: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Decode a volume that a model compressed, and measure quality and seconds."""
    with tempfile.TemporaryDirectory() as directory:
        container, copy = Path(directory) / "sample.zarr", Path(directory) / "sample.npy"
        for _ in range(2):  # the first call compiles
            start = time.perf_counter()
            compress(original, container, model=model)
            compressed = time.perf_counter()
            decompress(container, copy, overwrite=True)
            decompressed = time.perf_counter()
        values = read_volume(copy)
        measures = quality(original, values, open_container(container).stored_bytes())
    seconds = {"compress_seconds": compressed - start, "decompress_seconds": decompressed - compressed}
    return values, measures | seconds


def _draw(path: Path | str, original: np.ndarray, decoded: dict[str, np.ndarray], overwrite: bool) -> None:
    low, high = float(original.min()), float(original.max())
    volumes = {"original": original, **decoded}
    middle = original.shape[0] // 2
    errors = {
        name: np.abs(volume[middle].astype(np.float32) - original[middle]) for name, volume in volumes.items()
    }
    save_panels(
        path,
        {
            "volume": {name: render(v, minimum=low, maximum=high) for name, v in volumes.items()},
            "slice": {name: volume[middle] for name, volume in volumes.items()},
            "absolute error": errors,
        },
        error_rows={"absolute error": _BRIGHTEST_ERROR * (high - low)},
        value_range=(low, high),
        title="Vorticity magnitude in decaying turbulence; errors: white at 20 % of the range",
        overwrite=overwrite,
    )
