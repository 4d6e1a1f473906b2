"""Make the containers in ``tests/format/golden``, once for each version of the format; existing ones stay.

python tests/format/make_golden.py
"""

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.core.dtypes import DTYPES, is_float
from nvc_jax.io.volumes import read_volume
from nvc_jax.models.checkpoints import save_checkpoint, shipped_models
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.fit import fit_spectral

GOLDEN = Path(__file__).parent / "golden"
TARGETS: dict[str, dict[str, Any]] = {
    "max-error": {"max_error": 1.5},
    "relative-error": {"relative_error": 1e-3},
    "psnr": {"psnr": 42.0},
    "psnr-low": {"psnr": 36.0},
    "step": {"step": 0.05},
    "lossless": {"lossless": True},
    "one-quantizer": {"psnr": 42.0},
    "profiles": {"psnr": 48.0},
    "predicted": {"max_error": 0.5},
    "pointwise": {"pointwise_error": 0.03},
    "pointwise-fine": {"pointwise_error": 3e-6},
}
CHUNK = (16, 16, 24)


_SIZES = {"n_classes": 8, "n_tables": 16}
SMALL_MODELS = {
    "one-quantizer": SpectralConfig(
        **_SIZES, n_quantizers=1, n_profiles=1, n_contexts=1, n_header_contexts=1
    ),
    "contexts": SpectralConfig(**_SIZES, n_profiles=2, n_header_contexts=1),
    "filter": SpectralConfig(**_SIZES, n_profiles=2, n_header_contexts=1, n_filter_units=4),
    "headers": SpectralConfig(**_SIZES, n_profiles=2),
}
"""Configurations of the models of some containers, by the ends of their names."""


OF_ONE_DTYPE: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "plane": ("float32", {"max_error": 0.5}, (16, 24)),
    "series": ("uint8", {"psnr": 42.0}, (1, 8, 16, 24)),
    "steps": ("float32", {"psnr": 36.0}, (3, 16, 16, 24)),
    "bounded-steps": ("float32", {"max_error": 12.0}, (3, 16, 16, 24)),
    "integer-steps": ("uint8", {"psnr": 36.0}, (3, 16, 16, 24)),
    "colours": ("int16", {"lossless": True}, (16, 24, 1)),
    "contexts": ("float32", {"psnr": 42.0}, CHUNK),
    "fine-contexts": ("uint8", {"max_error": 1.5}, CHUNK),
    "headers": ("float32", {"psnr": 42.0}, CHUNK),
    "filter": ("float32", {"psnr": 38.0}, CHUNK),
    "long-filter": ("int64", {"psnr": 38.0}, CHUNK),
    "bounded-filter": ("uint8", {"max_error": 1.5}, CHUNK),
}
"""Dtypes, targets and chunks of further containers: of arrays with another number of axes, with channels or
with several steps in a chunk, of models with contexts, of integers alone or of headers as well, and of one
with a filter."""


def targets_of(dtype: str) -> dict[str, dict[str, Any]]:
    """Targets of the containers of a dtype: bool is always lossless, fine pointwise bounds are for floats."""
    if dtype == "bool":
        return {"lossless": TARGETS["lossless"]}
    is_fine = dtype in ("float32", "float64")
    targets = {name: target for name, target in TARGETS.items() if is_fine or name != "pointwise-fine"}
    return targets | {
        name: target for name, (of_dtype, target, _) in OF_ONE_DTYPE.items() if of_dtype == dtype
    }


def model_of(name: str) -> Path:
    """The model of the containers of a target: one that shipped, or a small one."""
    small = [f"-{end}" for end in SMALL_MODELS if name.endswith(end)]
    return GOLDEN / f"model{''.join(small)}"


def make_model(directory: Path) -> None:
    """Make one of the models."""
    for name, config in SMALL_MODELS.items():
        if directory == model_of(name):
            params = jax.device_get(fit_spectral([read_volume(SAMPLE)], config))
            save_checkpoint(directory, config, params, "A model of the golden containers.\n")
    if directory == model_of(""):
        shutil.copytree(shipped_models()["nvc-1"], directory)


def original(dtype: str, name: str = "") -> np.ndarray:
    """The volume that a golden container of ``dtype`` and a target holds; floats have special values."""
    if name:
        volume = original(dtype)
        arrays = {
            "plane": volume[2],
            "series": np.stack([volume[:9], volume[9:18]]),
            **dict.fromkeys(("steps", "bounded-steps", "integer-steps"), _moving(volume)),
            "colours": volume[10:13].transpose(1, 2, 0),
        }
        return np.ascontiguousarray(arrays.get(name, volume))
    base = np.load(GOLDEN / "volume.npy")
    if dtype == "bool":
        return base > 90
    if dtype in ("int64", "uint64"):  # at the ends, where float64 does not tell values apart
        limits = np.iinfo(dtype)
        return base.astype(dtype) + np.array(limits.min if dtype == "int64" else limits.max - 255, dtype)
    volume = (base // 2 if dtype == "int8" else base).astype(dtype)
    if is_float(volume.dtype):
        volume = volume + np.sin(np.arange(volume.size)).reshape(volume.shape).astype(dtype) / 4
        volume[:3, :5] = np.nan
        volume[7, 7, 7:9] = [np.inf, -np.inf]
        volume[18:, 10:] = -3e4
    return volume


def _moving(volume: np.ndarray) -> np.ndarray:
    """Series of five steps in which a volume moves."""
    return np.stack([volume[:17, :, number : number + 29] for number in range(5)])


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    if not (GOLDEN / "volume.npy").exists():
        np.save(GOLDEN / "volume.npy", read_volume(SAMPLE)[40:61, 8:27, 20:63])
    for dtype in DTYPES:
        for name, target in targets_of(dtype).items():
            store = GOLDEN / f"1-{dtype}-{name}.zarr"
            if not model_of(name).exists():
                make_model(model_of(name))
            if not store.exists():
                codec = nvc_jax.load_codec(model_of(name))
                chunks = OF_ONE_DTYPE[name][2] if name in OF_ONE_DTYPE else CHUNK
                nvc_jax.compress(original(dtype, name), store, model=codec, chunks=chunks, **target)
                shutil.rmtree(store / "model", ignore_errors=True)
                print(store.name)


if __name__ == "__main__":
    main()
