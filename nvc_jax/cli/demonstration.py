"""A volume compressed by several models, and by other codecs in as many bits: measured, and drawn."""

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nvc_jax.cli.compilations import watching_compilations
from nvc_jax.compression.compress import compress
from nvc_jax.compression.decompress import decompress
from nvc_jax.container.store import open_container
from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.evaluation.figures import save_panels
from nvc_jax.evaluation.metrics import quality
from nvc_jax.io.paths import output_path
from nvc_jax.io.replaceable import check_replaceable
from nvc_jax.io.volumes import read_volume
from nvc_jax.models.codec import load_shared
from nvc_jax.peers.codecs import EXTRA, LOSSY_PEERS, LossyPeer
from nvc_jax.peers.inputs import as_floats
from nvc_jax.peers.settings import find_setting

STEP = 0.08
"""Step of spectral models: 0.36 bits per voxel of the sample, where errors of all codecs can be seen."""
ADVICE = f"`pip install 'nvc_jax[{EXTRA}]'` puts SPERR, SZ3 and zfp beside it, at as many bits"
"""Sentence for those who have not installed the other codecs."""
_BRIGHTEST_ERROR = 0.1
"""Error, as a share of the range, that is drawn brightest."""
_TOLERANCE = 0.01
"""Share of the bits by which those of another codec may differ; zfp has settings for few numbers of bits."""
_SEARCHED_WIDTHS = 16
"""Ranges of the volume up to which absolute errors are tried: zfp stays far below what it is given."""
_PROJECTION, _SLICE, _ERROR = "maximum along z", "middle slice", "its errors"
_UNIT = "vorticity, scaled to 0 to 255"


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A volume that a codec encoded and decoded.

    Attributes:
        values: of the original's shape and dtype.
        measures: those of ``quality``; ``compress_seconds`` and ``decompress_seconds`` of a second call, when
            programs are compiled; of models also ``compile_seconds``, which the first call takes besides.
    """

    values: np.ndarray
    measures: dict[str, float]


def run_demo(
    sample: Path, picture: Path | str, models: Sequence[str] = (DEFAULT_MODEL,), *, overwrite: bool = False
) -> dict[str, dict[str, float]]:
    """Compress and decompress a volume with models and with other codecs, measure, and draw.

    The other codecs take as many bits as the first model, or more where they cannot. They are left out where
    they are not installed.

    Args:
        sample: path of the volume.
        picture: path of the PNG: a projection, a slice and its errors, original first.
        models: names, or directories of checkpoints.
        overwrite: whether to replace a file that lies at ``picture``.

    Returns:
        By model and codec the measures of ``Decoded``.

    Raises:
        FileExistsError: something lies at ``picture`` that is not replaced.
        FileNotFoundError: there is no such model, or no directory for the picture.
        ModuleNotFoundError: matplotlib is missing; the message has the command that installs it.
    """
    import_extra("matplotlib", "plot")
    check_replaceable(output_path(picture), overwrite)
    original = read_volume(sample)
    results = {name: _try_model(name, original) for name in models}
    n_bytes = round(original.nbytes / results[models[0]].measures["ratio"])
    for peer in _installed_peers():
        results[f"{peer.name} {peer.version}"] = _try_peer(peer, original, n_bytes)
    _draw(picture, original, results, overwrite)
    return {name: result.measures for name, result in results.items()}


def _installed_peers() -> list[LossyPeer]:
    """List the other codecs that are installed."""
    try:
        import_extra("imagecodecs", EXTRA)
    except ModuleNotFoundError:
        return []
    return list(LOSSY_PEERS.values())


def _try_model(model: str, original: np.ndarray) -> Decoded:
    """Compress to a container and decompress it, twice."""
    keeps_bounds = "max_error" in load_shared(model).model.quality_targets
    step = STEP if keeps_bounds else None
    with tempfile.TemporaryDirectory() as directory, watching_compilations() as compilations:
        container, copy = Path(directory) / "sample.zarr", Path(directory) / "sample.npy"
        for _ in range(2):  # the first call compiles
            start = time.perf_counter()
            compress(original, container, model=model, step=step)
            compressed = time.perf_counter()
            decompress(container, copy, overwrite=True)
            decompressed = time.perf_counter()
        values = read_volume(copy)
        measures = quality(original, values, open_container(container).stored_bytes())
    measures |= {"compress_seconds": compressed - start, "decompress_seconds": decompressed - compressed}
    return Decoded(values, measures | {"compile_seconds": compilations.seconds()})


def _try_peer(peer: LossyPeer, original: np.ndarray, n_bytes: int) -> Decoded:
    """Encode with another codec at a number of bytes, or at the next larger one that it has."""
    floats, width = as_floats(original), _SEARCHED_WIDTHS * float(np.ptp(original))
    sizes: dict[float, int] = {}

    def measure(setting: float) -> float:
        sizes[setting] = len(peer.encode_freely(floats, setting))
        return sizes[setting]

    find_setting(peer, width, measure, n_bytes, _TOLERANCE * n_bytes)
    enough = {setting: size for setting, size in sizes.items() if size >= (1 - _TOLERANCE) * n_bytes}
    setting = min(enough or sizes, key=lambda setting: abs(sizes[setting] - n_bytes))

    start = time.perf_counter()
    encoded = peer.encode_freely(floats, setting)
    middle = time.perf_counter()
    decoded = peer.decode(encoded, floats.shape, floats.dtype)
    end = time.perf_counter()
    values = np.clip(np.rint(decoded), original.min(), original.max()).astype(original.dtype)
    measures = quality(original, values, len(encoded))
    return Decoded(
        values, measures | {"compress_seconds": middle - start, "decompress_seconds": end - middle}
    )


def _draw(path: Path | str, original: np.ndarray, results: dict[str, Decoded], overwrite: bool) -> None:
    """Draw projections, slices and errors, a column for each codec, with ratio and PSNR above."""
    low, high = float(original.min()), float(original.max())
    volumes = {"original": original} | {
        f"{name}\nratio {r.measures['ratio']:.0f}, {r.measures['psnr_db']:.1f} dB": r.values
        for name, r in results.items()
    }
    middle = original.shape[0] // 2
    errors = {
        name: np.abs(volume[middle].astype(np.float32) - original[middle]) for name, volume in volumes.items()
    }
    save_panels(
        path,
        {
            _PROJECTION: {name: volume.max(axis=0) for name, volume in volumes.items()},
            _SLICE: {name: volume[middle] for name, volume in volumes.items()},
            _ERROR: errors,
        },
        error_rows={_ERROR: _BRIGHTEST_ERROR * (high - low)},
        value_range=(low, high),
        colour_bars={_PROJECTION: _UNIT, _SLICE: _UNIT, _ERROR: "|decoded − original|"},
        title="Vorticity magnitude in decaying turbulence, 96³ voxels of uint8, through codecs at equal bits",
        overwrite=overwrite,
    )
