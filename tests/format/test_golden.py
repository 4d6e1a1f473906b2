"""Golden containers: what was once written is decoded for ever, by the package and from FORMAT.md alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_golden import GOLDEN, TARGETS, model_of, original
from reference_decoder import decode, decode_body

import nvc_jax
from nvc_jax.chunks import payload as payload_module
from nvc_jax.chunks import spectral_chunk
from nvc_jax.core.dtypes import DTYPES
from nvc_jax.evaluation import containers
from nvc_jax.models.embedded import embed_model

NAMES = [f"1-{dtype}-{target}" for dtype in DTYPES for target in TARGETS]
CODECS = {path: nvc_jax.load_codec(path) for path in map(model_of, TARGETS)}


def special(volume: np.ndarray) -> np.ndarray:
    return ~np.isfinite(volume) | (volume == -3e4) if volume.dtype.kind == "f" else volume != volume


def check(name: str, decoded: np.ndarray, configuration: dict[str, Any]) -> None:
    """Whether a decoded volume is what its container promises."""
    volume = original(name.split("-")[1])
    assert decoded.dtype == volume.dtype
    is_special = special(volume)
    np.testing.assert_array_equal(decoded[is_special], volume[is_special])
    errors = np.abs(decoded[~is_special].astype(np.float64) - volume[~is_special].astype(np.float64))
    if configuration["max_error"] is not None:
        assert errors.max() <= configuration["max_error"]
    extent = configuration["maximum"] - configuration["minimum"]
    if "psnr" in configuration["target"]:
        reached = 20 * np.log10(extent) - 10 * np.log10(np.mean(errors**2))
        assert reached > configuration["target"]["psnr"] - 0.1
    assert errors.max() < 0.3 * extent


def test_every_dtype_and_target_has_a_golden_container() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.zarr")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_golden_containers_decode(name: str, tmp_path: Path) -> None:
    store, codec = tmp_path / "v.zarr", CODECS[model_of(name)]
    shutil.copytree(GOLDEN / f"{name}.zarr", store)
    metadata = json.loads((store / "zarr.json").read_text())
    # The model of the golden containers may not always ship with the package.
    metadata["codecs"][0]["configuration"]["embedded"] = embed_model(codec.config, codec.params)
    (store / "zarr.json").write_text(json.dumps(metadata))
    check(name, nvc_jax.open(store).read().result(), metadata["codecs"][0]["configuration"])
    containers.verify(original(name.split("-")[1]), store)


@pytest.mark.parametrize("name", NAMES)
def test_a_decoder_from_the_specification_agrees(name: str) -> None:
    store = GOLDEN / f"{name}.zarr"
    metadata = json.loads((store / "zarr.json").read_text())
    chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    decoded = np.zeros(metadata["shape"], metadata["data_type"])
    for path in (store / "c").glob("*/*/*"):
        corner = [int(i) * side for i, side in zip(path.parts[-3:], chunk, strict=True)]
        values = decode(path.read_bytes()[:-4], tuple(chunk), CODECS[model_of(name)].params)
        place = tuple(slice(a, a + side) for a, side in zip(corner, values.shape, strict=True))
        decoded[place] = values
    check(name, decoded, metadata["codecs"][0]["configuration"])


@pytest.mark.parametrize("step", [2e-3, 1e-2, 0.1])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_other_arithmetic_stays_well_within_the_reserve(step: float, offset: float) -> None:
    """The same streams in float64, whose roundings are none by comparison."""
    model = CODECS[model_of("two-quantizers")]
    rng = np.random.default_rng(0)
    room = (24, 16, 24)
    rough = np.where(rng.random(room) < 0.1, rng.uniform(0, 100, room), rng.normal(50, 1, room))
    base = np.load(GOLDEN / "volume.npy")[:17, :16, :24]
    for values in (rough, base, np.add.reduce(np.indices(room)) / 7):
        volume = (values + offset).astype(np.float32)
        low, high = float(volume.min()), float(volume.max())
        codec = spectral_chunk.ChunkCodec(model, room, volume.dtype)
        payload = codec.encode(volume, spectral_chunk.Target(None, step * (high - low)))
        assert payload_module.parse_payload(payload).kind == payload_module.SPECTRAL
        exact = decode_body(
            payload_module.SPECTRAL,
            payload_module.parse_payload(payload).body,
            b"",
            np.dtype(np.float64),
            volume.shape,
            room,
            model.params,
        )
        difference = np.abs(codec.decode(payload).astype(np.float64) - exact).max()
        assert difference < spectral_chunk.decoding_reserve(low, high, step) / 3
