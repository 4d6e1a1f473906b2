"""Golden containers: written once, decoded for ever, by the package and from FORMAT.md alone."""

import functools
import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from make_golden import GOLDEN, model_of, original, targets_of
from reference_container import Metadata, count_steps, open_chunk, read_metadata, spatial_shape
from reference_decoder import decode
from reference_model import read_model
from reference_spectral import decode_spectral, decoding_reserve, parse_spectral_header

import nvc_jax
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.dtypes import DTYPES, is_float
from nvc_jax.evaluation import containers
from nvc_jax.models.embedded import embed_model
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

NAMES = [f"1-{dtype}-{target}" for dtype in DTYPES for target in targets_of(dtype)]
MODELS = sorted(set(map(model_of, NAMES)))
CODECS = {path: nvc_jax.load_codec(path) for path in MODELS}
PARAMS = {path: read_model(path).nested() for path in MODELS}


@functools.cache
def embedded(path: Path) -> dict:
    """A model as a container keeps it."""
    return embed_model(CODECS[path].config, CODECS[path].params)


def special_mask(volume: np.ndarray) -> np.ndarray:
    """Return which voxels of a golden volume are special values."""
    if not is_float(volume.dtype):
        return np.zeros(volume.shape, bool)
    return ~np.isfinite(volume) | (volume == -3e4)


def original_of(name: str) -> np.ndarray:
    """The volume that a golden container holds."""
    _, dtype, target = name.split("-", 2)
    return original(dtype, target)


def check(name: str, decoded: np.ndarray, metadata: Metadata) -> None:
    """Check that a decoded volume keeps all that its container promises."""
    volume = original_of(name)
    assert decoded.dtype == volume.dtype
    is_special = special_mask(volume)
    bits = f"u{volume.dtype.itemsize}"
    np.testing.assert_array_equal(decoded[is_special].view(bits), volume[is_special].view(bits))
    errors = np.abs(decoded[~is_special].astype(object) - volume[~is_special].astype(object)).astype(
        np.float64
    )
    if metadata.max_error is not None:
        assert errors.max() <= metadata.max_error
    if "pointwise_error" in metadata.configuration:  # far more than the range, where that is narrow
        bound = Fraction(metadata.configuration["pointwise_error"])
        allowed = float(bound) * np.abs(volume[~is_special].astype(np.float64))
        is_near = ~(errors < 0.999 * allowed)  # where float64 does not tell
        pairs = zip(
            volume[~is_special][is_near].tolist(), decoded[~is_special][is_near].tolist(), strict=True
        )
        assert all(abs(Fraction(x) - Fraction(y)) <= bound * abs(Fraction(x)) for x, y in pairs)
        return
    width = metadata.maximum - metadata.minimum
    if "psnr" in metadata.configuration:
        psnr = 20 * np.log10(width) - 10 * np.log10(np.mean(errors**2))
        assert psnr > metadata.configuration["psnr"] - 0.1
    assert errors.max() < 0.3 * width


def test_every_dtype_and_target_has_a_golden_container() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.zarr")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_golden_containers_decode(name: str, tmp_path: Path) -> None:
    store = tmp_path / "v.zarr"
    shutil.copytree(GOLDEN / f"{name}.zarr", store)
    metadata = json.loads((store / "zarr.json").read_text())
    # The model of the golden containers may not always ship with the package.
    metadata["codecs"][0]["configuration"]["embedded"] = embedded(model_of(name))
    (store / "zarr.json").write_text(json.dumps(metadata))
    check(name, nvc_jax.open(store).read().result(), read_metadata(store))
    containers.verify(original_of(name), store)


@pytest.mark.parametrize("name", NAMES)
def test_a_decoder_from_the_specification_agrees(name: str) -> None:
    store = GOLDEN / f"{name}.zarr"
    metadata = read_metadata(store)
    decoded = np.zeros(metadata.shape, metadata.dtype)
    whole_shape = spatial_shape(metadata.chunk_shape, metadata.chunk_shape)
    for path in (path for path in (store / "c").rglob("*") if path.is_file()):
        index = tuple(map(int, path.relative_to(store / "c").parts))
        region = tuple(
            slice(i * part, min((i + 1) * part, side))
            for i, part, side in zip(index, metadata.chunk_shape, metadata.shape, strict=True)
        )
        payload = open_chunk(path.read_bytes(), metadata, index)
        rules = metadata.configuration
        n_steps = count_steps(metadata.chunk_shape, metadata.chunk_shape)
        values = decode(payload, whole_shape, metadata.dtype, PARAMS[model_of(name)], rules, n_steps)
        assert values.shape[-3:] == spatial_shape(decoded[region].shape, metadata.chunk_shape)
        decoded[region] = values.reshape(decoded[region].shape)
    check(name, decoded, metadata)


@pytest.mark.parametrize("step", [2e-3, 1e-2, 0.1])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_other_arithmetic_stays_well_within_the_reserve(step: float, offset: float) -> None:
    """The reference decoder works in float64, whose own roundings do not count here."""
    params = CODECS[model_of("max-error")].params
    padded_shape = (24, 16, 24)
    rng = np.random.default_rng(0)
    is_peak = rng.random(padded_shape) < 0.1
    rough = np.where(is_peak, rng.uniform(0, 100, padded_shape), rng.normal(50, 1, padded_shape))
    base = np.load(GOLDEN / "volume.npy")[:17, :16, :24]
    coder = SpectralTransformCoder(params, padded_shape)
    transform = TransformBodyCodec(coder, padded_shape, np.dtype(np.float32))
    for values in (rough, base, np.add.reduce(np.indices(padded_shape)) / 7):
        volume = (values + offset).astype(np.float32)
        low, high = float(volume.min()), float(volume.max())
        chunk = ChunkValues.examine(volume, ())
        body = transform.encode(chunk, ChunkTarget(None, step * (high - low)), 0)
        assert body is not None
        coded = body.complete()
        assert coded is not None
        exact = decode_spectral(coded.body, volume.dtype, volume.shape, padded_shape, params)
        difference = np.abs(coded.decoded.astype(np.float64) - exact).max()
        reserve = decoding_reserve(parse_spectral_header(coded.body, volume.dtype, params["entropy"]))
        assert difference < reserve / 3
        assert coder.decoding_reserve(low, high, float(np.float32(step))) == pytest.approx(reserve)
