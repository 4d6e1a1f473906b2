"""The registry of models: a third kind is a folder, ``tiny_model``, and one line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import zarr
from model_kinds import registered
from tiny_model.config import BlockMeanConfig
from tiny_model.encoded import EncodedMeans
from tiny_model.model import BlockMeanModel
from tiny_model.training import BlockMeanTraining

import nvc_jax
from nvc_jax.autoencoder.config import VARIANTS, ConvolutionalConfig, DenseConfig
from nvc_jax.autoencoder.model import AutoencoderModel
from nvc_jax.autoencoder.training.config import AutoencoderTraining
from nvc_jax.chunks.preview import block_means
from nvc_jax.cli import main
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.core.model import ModelConfig
from nvc_jax.io.volumes import read_volume
from nvc_jax.models.registry import (
    ModelKind,
    config_from_dict,
    model_of,
    named_configs,
    register,
    stored_config,
    training_type,
    unregister,
)
from nvc_jax.models.training import training_config
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.model import SpectralModel
from nvc_jax.spectral.training.config import SpectralTraining

TINY = ModelKind(BlockMeanConfig, BlockMeanModel, BlockMeanTraining)
VOLUME = read_volume(SAMPLE)[:19, :22, :30]
CHUNK = (16, 16, 24)


@pytest.mark.parametrize(
    ("config", "model", "training"),
    [
        (SpectralConfig(n_classes=3), SpectralModel, SpectralTraining),
        (DenseConfig(margin=2, hidden_sizes=(4, 5)), AutoencoderModel, AutoencoderTraining),
        (ConvolutionalConfig(channels=(3,)), AutoencoderModel, AutoencoderTraining),
    ],
    ids=["spectral", "dense", "convolutional"],
)
def test_configurations_know_their_model_and_their_training(
    config: ModelConfig, model: type, training: type
) -> None:
    assert type(model_of(config)) is model
    assert model_of(config).config is config
    assert training_type(config) is training
    assert config_from_dict(config.to_dict()) == config
    assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_architectures_and_fields_are_named() -> None:
    message = r"`architecture` \(='psychic'\) must be one of \['convolutional', 'dense', 'spectral'\]"
    with pytest.raises(ValueError, match=message):
        config_from_dict({"architecture": "psychic"})
    with pytest.raises(ValueError, match=r"`architecture` \(=None\)"):
        config_from_dict({"block_size": 8})
    with pytest.raises(ValueError, match=r"unknown fields \['depth'\] for architecture 'dense'"):
        config_from_dict({"architecture": "dense", "depth": 3})
    with pytest.raises(ValueError, match="`architecture`"):
        model_of(BlockMeanConfig())


def test_stored_configurations_may_lack_fields_that_earlier_versions_did_not_write() -> None:
    description = {"architecture": "spectral", "n_classes": 5}
    assert stored_config(description) == SpectralConfig(
        n_classes=5, n_quantizers=1, n_profiles=1, n_contexts=1, n_header_contexts=1, n_filter_units=0
    )
    assert config_from_dict(description) == SpectralConfig(n_classes=5)
    assert stored_config({"architecture": "dense"}) == DenseConfig()


def test_the_default_model_and_the_variants_of_the_paper_have_names() -> None:
    with_filter = SpectralConfig(n_filter_units=48)
    assert named_configs() == {"nvc-1": SpectralConfig(), "nvc-1-filter": with_filter, **VARIANTS}


@pytest.fixture
def tiny() -> Iterator[None]:
    """The one line by which the model in ``tiny_model`` becomes known."""
    with registered(TINY):
        yield


@pytest.fixture
def codec(tiny: None) -> nvc_jax.Codec:
    return nvc_jax.train(BlockMeanTraining(), [VOLUME]).codec


def test_a_kind_is_known_once_and_until_it_is_removed() -> None:
    register(TINY)
    with pytest.raises(ValueError, match="of architecture 'block-mean' already"):
        register(TINY)
    assert type(model_of(BlockMeanConfig())) is BlockMeanModel
    unregister("block-mean")
    with pytest.raises(ValueError, match="`architecture`"):
        model_of(BlockMeanConfig())


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_new_kind_encodes_and_decodes_volumes(dtype: str, codec: nvc_jax.Codec) -> None:
    volume = VOLUME.astype(dtype)
    encoded = nvc_jax.encode_volume(codec, volume, step=0.01)
    assert isinstance(encoded, EncodedMeans)
    assert (encoded.used_bytes, encoded.volume_bytes) == (4 * 10 * 11 * 15, volume.nbytes)
    decoded = nvc_jax.decode_volume(codec, encoded)
    assert (decoded.shape, decoded.dtype) == (volume.shape, volume.dtype)
    assert np.abs(np.asarray(decoded, float) - volume).mean() < 0.05 * np.ptp(volume)


def test_a_new_kind_is_pure(codec: nvc_jax.Codec) -> None:
    @jax.jit
    def round_trip(codec: nvc_jax.Codec, volume: jax.Array, step: jax.Array) -> jax.Array:
        return nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume, step=step))

    alone = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, VOLUME, step=0.1))
    inside = round_trip(codec, VOLUME, np.float32(0.1))
    assert np.abs(np.asarray(inside, int) - np.asarray(alone, int)).max() <= 1


def test_a_new_kind_checks_its_steps_and_its_encoded_volumes(codec: nvc_jax.Codec) -> None:
    with pytest.raises(ValueError, match="`step` is missing"):
        nvc_jax.encode_volume(codec, VOLUME)
    with pytest.raises(ValueError, match="not of a block-mean codec"):
        nvc_jax.decode_volume(codec, nvc_jax.encode_volume(nvc_jax.load_codec("zero-margin"), VOLUME))


def test_a_new_kind_is_trained_saved_and_loaded(tiny: None, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VOLUME)
    description = {"model": {"architecture": "block-mean", "block_size": 4}, "strength": 0.5}
    result = nvc_jax.train(description, [tmp_path / "v.npy"])
    assert result.config == BlockMeanTraining(BlockMeanConfig(block_size=4), strength=0.5)
    pattern = result.codec.params["pattern"]
    assert pattern.shape == (4, 4, 4)
    assert abs(pattern.mean()) < 1e-6 < np.abs(pattern).max()

    result.save(tmp_path / "model")
    loaded = nvc_jax.load_codec(tmp_path / "model")
    assert loaded.config == result.codec.config
    np.testing.assert_array_equal(loaded.params["pattern"], pattern)
    assert training_config(tmp_path / "model" / "training.json") == result.config
    assert "| pattern | average over all blocks |" in (tmp_path / "model" / "CARD.md").read_text()

    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", model=tmp_path / "model", chunks=CHUNK, max_error=3)
    assert nvc_jax.info(tmp_path / "v.zarr")["model"] == "model"
    nvc_jax.verify(VOLUME, tmp_path / "v.zarr")


def test_the_command_line_takes_a_new_kind(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", VOLUME)
    Path("config.json").write_text(json.dumps({"model": {"architecture": "block-mean"}}))
    assert main(["train", "config.json", "v.npy", "--output", "model"]) == 0
    assert main(["compress", "v.npy", "v.zarr", "--model", "model", "--max-error", "2"]) == 0
    capsys.readouterr()
    assert main(["verify", "v.npy", "v.zarr", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["measured_max_error"] <= 2


TARGETS: list[dict[str, Any]] = [
    {"max_error": 2.5},
    {"relative_error": 0.01},
    {"pointwise_error": 0.01},
    {"psnr": 22.0},
    {"step": 0.1},
    {"lossless": True},
    {},
]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: next(iter(target), "default"))
def test_containers_of_a_new_kind_keep_every_target(
    target: dict[str, Any], dtype: str, codec: nvc_jax.Codec, tmp_path: Path
) -> None:
    volume, container = VOLUME.astype(dtype), tmp_path / "v.zarr"
    if volume.dtype.kind == "f":
        volume[2:4, 3:9, :7] = np.nan
        volume[:, 19:] = -1e10
    result = nvc_jax.compress(volume, container, model=codec, chunks=CHUNK, shards=(16, 32, 48), **target)
    info = nvc_jax.info(container)
    assert (info["model"], info["target"]) == ("custom", target or {"step": 0.05})
    assert info["max_error"] == result.max_error

    decoded = nvc_jax.open(container).read().result()
    assert decoded.dtype == volume.dtype
    np.testing.assert_array_equal(decoded[~np.isfinite(volume)], volume[~np.isfinite(volume)])
    np.testing.assert_array_equal(zarr.open_array(container, mode="r")[:], decoded)
    region = np.s_[3:19, 15:17, 20:30]
    np.testing.assert_array_equal(nvc_jax.open(container)[region].read().result(), decoded[region])

    verified = nvc_jax.verify(volume, container)
    assert verified["chunks"] == 2 * 2 * 2
    assert verified["measured_max_error"] == result.max_error
    measures = nvc_jax.evaluate(volume, container)
    assert measures["max_error"] == result.max_error
    if info["bound"] is not None:
        assert result.max_error <= info["bound"]
    if target == {"lossless": True}:
        np.testing.assert_array_equal(decoded, volume)
    if "psnr" in target:
        # Where a chunk changes its way of coding, the PSNR jumps.
        assert -0.1 <= measures["psnr_db"] - 22.0 <= 0.5


def test_previews_of_a_new_kind_are_means_of_blocks(codec: nvc_jax.Codec, tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME.astype(np.float32), tmp_path / "v.zarr", model=codec, chunks=CHUNK, step=0.01)
    preview = nvc_jax.preview(tmp_path / "v.zarr")
    assert preview.shape == (3, 3, 4)
    complete = np.s_[:2, :2, :3]  # blocks without padding
    expected = block_means(VOLUME.astype(np.float32))[complete]
    assert np.abs(preview[complete] - expected).max() < 0.02 * np.ptp(VOLUME)


def test_an_embedded_model_needs_its_kind(tmp_path: Path) -> None:
    with registered(TINY):
        codec = nvc_jax.train(BlockMeanTraining(), [VOLUME]).codec
        nvc_jax.compress(VOLUME, tmp_path / "v.zarr", model=codec, chunks=CHUNK)
    with pytest.raises(nvc_jax.FormatError, match=r"`architecture`.*'block-mean'"):
        nvc_jax.open(tmp_path / "v.zarr")
