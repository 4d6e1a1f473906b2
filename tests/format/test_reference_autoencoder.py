"""Latents are stored and decoded as section 15 of ``FORMAT.md`` says."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from make_golden import GOLDEN
from reference_autoencoder import Container, decode_volume
from reference_decoder import parse_payload
from reference_model import read_embedded, read_model

import nvc_jax
from nvc_jax.autoencoder.config import ConvolutionalConfig
from nvc_jax.autoencoder.networks import init_params
from nvc_jax.models.checkpoints import shipped_models

CHUNK = (16, 16, 24)
CONVOLUTIONAL = ConvolutionalConfig(block_size=8, margin=2, latent_dim=8, channels=(4, 6))


def example_volume() -> np.ndarray:
    volume = np.load(GOLDEN / "volume.npy").astype(np.float32)
    volume[3, 4, 5] = np.nan
    return volume


def read_container(path: Path) -> tuple[dict[tuple[int, ...], bytes], Container, str]:
    """Read payloads, metadata and data type of a container from its files."""
    metadata = json.loads((path / "zarr.json").read_text())
    configuration = metadata["codecs"][0]["configuration"]
    if "embedded" in configuration:
        model = read_embedded(configuration["embedded"], configuration["sha256"])
    else:
        model = read_model(shipped_models()[configuration["model"]])
    container = Container(
        shape=tuple(metadata["shape"]),
        chunk=tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"]),
        minimum=configuration["minimum"],
        maximum=configuration["maximum"],
        step=configuration["step"],
        config=model.config,
        params=model.nested(),
    )
    payloads = {
        tuple(map(int, chunk.parts[-3:])): chunk.read_bytes()[:-4] for chunk in (path / "c").glob("*/*/*")
    }
    return payloads, container, metadata["data_type"]


@pytest.mark.parametrize(
    ("model", "step"),
    [("zero-margin", None), ("two-wide-margin", None), ("two-wide-margin", 0.05), ("convolutional", 0.05)],
)
def test_a_decoder_from_the_specification_agrees(model: str, step: float | None, tmp_path: Path) -> None:
    codec: Any = model
    if model == "convolutional":
        codec = nvc_jax.Codec(CONVOLUTIONAL, init_params(CONVOLUTIONAL, key=jax.random.key(0)))
    original = example_volume()
    nvc_jax.compress(original, tmp_path / "v.zarr", model=codec, step=step, chunks=CHUNK)
    payloads, container, dtype = read_container(tmp_path / "v.zarr")
    assert len(payloads) == 8
    assert {parse_payload(payload).kind for payload in payloads.values()} == {5}
    for mode in ("blend", "crop"):
        decoded = decode_volume(payloads, container, blend=mode == "blend")
        assert decoded.dtype == dtype
        expected = nvc_jax.open(tmp_path / "v.zarr", mode=mode).read().result()
        tolerance = 1e-5 * (container.maximum - container.minimum)
        np.testing.assert_allclose(decoded, expected, rtol=0, atol=tolerance)
        np.testing.assert_array_equal(np.isnan(decoded), np.isnan(original))
