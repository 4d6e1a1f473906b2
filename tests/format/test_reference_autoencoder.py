"""Latents are stored and decoded as section 15 of ``FORMAT.md`` says."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_params import draw_params
from make_golden import GOLDEN
from reference_autoencoder import Container, decode_latents, decode_volume
from reference_common import FormatError
from reference_container import open_chunk, read_metadata
from reference_decoder import parse_payload
from reference_model import read_embedded, read_model

import nvc_jax
from nvc_jax.autoencoder.config import ConvolutionalConfig
from nvc_jax.core.chunk_interfaces import ChunkFormat, ValueRange
from nvc_jax.models.checkpoints import find_shipped
from nvc_jax.models.registry import model_of

CHUNK = (16, 16, 24)
BODY = 9
"""Offset of the body in a payload of a whole chunk that states its largest error."""
CONVOLUTIONAL = ConvolutionalConfig(block_size=8, margin=2, latent_dim=8, channels=(4, 6))


def example_volume() -> np.ndarray:
    volume = np.load(GOLDEN / "volume.npy").astype(np.float32)
    volume[3, 4, 5] = np.nan
    return volume


def read_container(path: Path) -> tuple[dict[tuple[int, ...], bytes], Container]:
    """Read payloads and metadata of a container from its files."""
    metadata = read_metadata(path)
    configuration = metadata.configuration
    if "embedded" in configuration:
        model = read_embedded(configuration["embedded"], configuration["sha256"])
    else:
        model = read_model(find_shipped(configuration["sha256"]))
    container = Container(
        shape=metadata.shape,
        dtype=metadata.dtype,
        chunk=metadata.chunk_shape,
        minimum=metadata.minimum,
        maximum=metadata.maximum,
        step=metadata.step,
        configuration=configuration,
        config=model.config,
        params=model.nested(),
    )
    indices = {tuple(map(int, chunk.parts[-3:])): chunk for chunk in (path / "c").glob("*/*/*")}
    payloads = {index: open_chunk(chunk.read_bytes(), metadata, index) for index, chunk in indices.items()}
    return payloads, container


@pytest.mark.parametrize(
    ("model", "step"),
    [("zero-margin", None), ("two-wide-margin", None), ("two-wide-margin", 0.05), ("convolutional", 0.05)],
)
def test_a_decoder_from_the_specification_agrees(model: str, step: float | None, tmp_path: Path) -> None:
    codec: Any = model
    if model == "convolutional":
        codec = nvc_jax.Codec(CONVOLUTIONAL, draw_params(CONVOLUTIONAL))
    original = example_volume()
    nvc_jax.compress(original, tmp_path / "v.zarr", model=codec, step=step, chunks=CHUNK)
    payloads, container = read_container(tmp_path / "v.zarr")
    assert len(payloads) == 8
    assert {parse_payload(payload, CHUNK).kind for payload in payloads.values()} == {5}
    for mode in ("blend", "crop"):
        decoded = decode_volume(payloads, container, blend=mode == "blend")
        assert decoded.dtype == original.dtype
        expected = nvc_jax.open(tmp_path / "v.zarr", mode=mode).read().result()
        tolerance = 1e-5 * (container.maximum - container.minimum)
        np.testing.assert_allclose(decoded, expected, rtol=0, atol=tolerance)
        np.testing.assert_array_equal(np.isnan(decoded), np.isnan(original))


@pytest.mark.parametrize("n_lanes", [0, 7])  # a chunk of 2 × 2 × 3 blocks has at most 6
def test_wrong_lanes_of_latents_are_rejected(n_lanes: int, tmp_path: Path) -> None:
    payload, container = latents_payload(tmp_path)
    reject(payload[:BODY] + bytes([n_lanes]) + payload[BODY + 1 :], container, f"{n_lanes} lanes")


@pytest.mark.parametrize(
    ("n_bytes", "fault"),
    [(0, "cut short"), (7, "lacks the choices"), (33, "words of 0 bytes"), (46, "words of 13 bytes")],
)
def test_latents_that_are_cut_short_are_rejected(n_bytes: int, fault: str, tmp_path: Path) -> None:
    payload, container = latents_payload(tmp_path)
    reject(payload[: BODY + n_bytes], container, fault)


def latents_payload(directory: Path) -> tuple[bytes, Container]:
    """Make a payload of quantised latents without special values."""
    volume = np.load(GOLDEN / "volume.npy").astype(np.float32)[:16, :16, :24]
    nvc_jax.compress(volume, directory / "v.zarr", model="two-wide-margin", step=0.05, chunks=CHUNK)
    payloads, container = read_container(directory / "v.zarr")
    assert payloads[0, 0, 0][0] == 0x25  # kind 5, with a largest error
    return payloads[0, 0, 0], container


def reject(payload: bytes, container: Container, fault: str) -> None:
    """Check that both decoders reject a payload of latents, and that the package names the fault."""
    with pytest.raises(FormatError):
        decode_latents(parse_payload(payload, CHUNK).body, CHUNK, container)
    codec = nvc_jax.load_codec("two-wide-margin")
    value_range = ValueRange(container.minimum, container.maximum)
    chunk_format = ChunkFormat(CHUNK, np.dtype(np.float32), value_range, container.step)
    decoder = model_of(codec.config).chunk_decoder(codec.params, chunk_format, "crop")
    with pytest.raises(ValueError, match=re.escape(fault)):
        decoder.decode(payload)
