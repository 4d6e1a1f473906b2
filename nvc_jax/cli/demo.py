"""The demonstration: an embedded simulated volume through every shipped model.

The volume is the vorticity magnitude of decaying turbulence, 96³ uint8, which ``benchmarks/sample.py``
simulated.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from nvc_jax.compression import compress, decompress
from nvc_jax.container.store import open_container
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.evaluation.figures import save_panels
from nvc_jax.evaluation.metrics import quality
from nvc_jax.evaluation.rendering import render
from nvc_jax.io.volumes import read_volume
from nvc_jax.models.checkpoints import shipped_models

SAMPLE = Path(__file__).with_name("sample.npz")


def run_demo(picture: Path | str) -> dict[str, dict[str, float]]:
    """Compress and decompress the sample with every shipped model, measure, and draw.

    Args:
        picture: path of the PNG: renderings, a slice and its errors, original first.

    Returns:
        For each model the measures of ``quality``, and ``compress_seconds`` and ``decompress_seconds``
        of a second call, files included, once the programs are compiled.

    Raises:
        ModuleNotFoundError: matplotlib is missing; the message has the command that installs it.
    """
    import_extra("matplotlib", "plot")
    original = read_volume(SAMPLE)
    decoded, measures = {}, {}
    for name in shipped_models():
        decoded[name], measures[name] = _measure(name, original)
    _draw(picture, original, decoded)
    return measures


def _measure(model: str, original: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    with tempfile.TemporaryDirectory() as directory:
        store, copy = Path(directory) / "sample.zarr", Path(directory) / "sample.npy"
        for _ in range(2):  # the first call compiles
            began = time.perf_counter()
            compress.compress(original, store, model=model)
            compressed = time.perf_counter()
            decompress.decompress(store, copy)
            ended = time.perf_counter()
        values = read_volume(copy)
        measures = quality(original, values, open_container(store).stored_bytes())
    seconds = {"compress_seconds": compressed - began, "decompress_seconds": ended - compressed}
    return values, measures | seconds


def _draw(path: Path | str, original: np.ndarray, decoded: dict[str, np.ndarray]) -> None:
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
        error_rows={"absolute error": 0.2 * (high - low)},
        value_range=(low, high),
        title="Vorticity magnitude in decaying turbulence; errors: white at 20 % of the range",
    )
