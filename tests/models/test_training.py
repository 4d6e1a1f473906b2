import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import zarr

from nvc_jax.autoencoder.config import VARIANTS, DenseConfig
from nvc_jax.autoencoder.training.config import AutoencoderTraining
from nvc_jax.models.codec import decode_volume, encode_volume, load_codec
from nvc_jax.models.registry import named_configs
from nvc_jax.models.training import TrainingResult, train, training_config
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.config import SpectralTraining
from nvc_jax.training.config import TrainingConfig
from nvc_jax.training.progress import TrainingProgress

DENSE = AutoencoderTraining(
    DenseConfig(block_size=4, margin=1, hidden_sizes=(16,), latent_dim=6),
    epochs=2,
    batch_size=8,
    blocks_per_volume=20,
)
SPECTRAL = SpectralTraining(
    SpectralConfig(n_classes=4, n_tables=4, n_quantizers=1, n_profiles=1),
    blocks_per_volume=14,
)


def smooth_volume(shift: float = 0) -> np.ndarray:
    z, y, x = np.meshgrid(*[np.linspace(0, 3, 16)] * 3, indexing="ij")
    return (2 + np.sin(z + y + shift) * np.cos(2 * x)).astype(np.float32)


@pytest.fixture(scope="module")
def spectral_result() -> TrainingResult:
    return train(SPECTRAL, [smooth_volume(), smooth_volume(1)])


def check_saved(result: TrainingResult, directory: Path) -> None:
    """Save, load, and compare with the trained codec."""
    result.save(directory)
    codec = load_codec(directory)
    assert codec.config == result.config.model
    jax.tree.map(np.testing.assert_array_equal, codec.params, result.codec.params)
    assert training_config(directory / "training.json") == result.config
    card = (directory / "CARD.md").read_text()
    for text in (*result.config.card_settings, *result.sources, "not stated"):
        assert text in card
    with pytest.raises(FileExistsError, match="exists already"):
        result.save(directory)
    encoded = encode_volume(codec, smooth_volume(), step=0.1)
    assert decode_volume(codec, encoded).shape == (16, 16, 16)


@pytest.mark.parametrize("config", [DENSE, SPECTRAL], ids=["dense", "spectral"])
def test_declared_missing_values_are_gaps_as_nan_is(config: TrainingConfig, tmp_path: Path) -> None:
    with_nan = smooth_volume()
    with_nan[:4, 3:12] = np.nan
    declared = np.where(np.isnan(with_nan), np.float32(1e20), with_nan)
    array = zarr.create_array(tmp_path / "v.zarr", data=declared, fill_value=0)
    array.attrs["_FillValue"] = 1e20
    first, second = (train(config, [volume]).codec.params for volume in (tmp_path / "v.zarr", with_nan))
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_a_block_autoencoder_is_trained_and_saved(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", smooth_volume())
    seen: list[TrainingProgress] = []
    volumes = [tmp_path / "v.npy", smooth_volume()]
    result = train(DENSE, volumes, validation=[smooth_volume(1)], seed=3, on_progress=seen.append)
    assert result.sources == ("v.npy", "volume-1")
    assert result.history == tuple(seen)
    assert seen[-1].step == seen[-1].total_steps == 10
    assert seen[-1].validation_loss is not None
    check_saved(result, tmp_path / "model")
    assert "| validation loss |" in (tmp_path / "model" / "CARD.md").read_text()


def test_limited_time_takes_the_place_of_epochs(tmp_path: Path) -> None:
    result = train(DENSE, [smooth_volume()], minutes=0.02)
    assert result.history[-1].step == result.history[-1].total_steps
    result.save(tmp_path / "model")
    card = (tmp_path / "model" / "CARD.md").read_text()
    assert "| minutes | 0.02 |\n| batch_size | 8 |" in card
    assert "epochs" not in card
    with pytest.raises(ValueError, match=r"`minutes` .* above 0"):
        train(DENSE, [smooth_volume()], minutes=0)


def test_a_spectral_model_is_trained_and_saved(spectral_result: TrainingResult, tmp_path: Path) -> None:
    assert spectral_result.sources == ("volume-0", "volume-1")
    history = spectral_result.history
    assert [report.step for report in history] == [1, 3]  # a profile, and two chunks on two devices
    assert history[-1].step == history[-1].total_steps
    assert all(0 < report.loss < 16 for report in history)
    check_saved(spectral_result, tmp_path / "model")


def test_only_the_seed_changes_the_parameters() -> None:
    first, again, other = (
        train(DENSE, [smooth_volume()], seed=seed).codec.params["mean"]["kernel"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_interrupted_run_resumes_to_the_same_parameters(tmp_path: Path) -> None:
    volumes = [smooth_volume()]
    config = dataclasses.replace(DENSE, steps_per_dispatch=2, epochs=4, blocks_per_volume=24)

    class Interrupted(Exception):
        pass

    def interrupt(progress: TrainingProgress) -> None:
        if progress.step > 6:
            raise Interrupted

    uninterrupted = train(config, volumes)
    with pytest.raises(Interrupted):
        train(config, volumes, directory=tmp_path, on_progress=interrupt)
    resumed = train(config, volumes, directory=tmp_path)
    assert [report.loss for report in resumed.history] == [report.loss for report in uninterrupted.history]
    jax.tree.map(np.testing.assert_array_equal, resumed.codec.params, uninterrupted.codec.params)
    with pytest.raises(ValueError, match="another configuration or data"):
        train(config, volumes, seed=1, directory=tmp_path)


@pytest.mark.parametrize("config", [DENSE, SPECTRAL, SpectralTraining()], ids=["dense", "spectral", "nvc-1"])
def test_configurations_survive_json(config: TrainingConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.to_dict()))
    assert training_config(path) == training_config(str(path)) == config
    assert training_config(json.loads(path.read_text())) == config


def test_names_are_default_trainings() -> None:
    assert training_config("nvc-1") == SpectralTraining(SpectralConfig())
    for name, model in VARIANTS.items():
        assert training_config(name) == AutoencoderTraining(model)
        assert training_config({"model": name, "epochs": 3}) == AutoencoderTraining(model, epochs=3)
    assert training_config({}) == AutoencoderTraining()


@pytest.mark.parametrize("name", ["nvc-1", *VARIANTS])
def test_shipped_models_say_how_they_were_trained(name: str) -> None:
    path = Path(__file__).parents[2] / "checkpoints" / name / "training.json"
    assert training_config(path).model == named_configs()[name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold a JSON object"),
        ('{"epoch": 3}', r"unknown fields \['epoch'\] in the training configuration of a dense model"),
        ('{"model": "nvc-1", "epochs": 3}', r"unknown fields \['epochs'\] .* of a spectral model"),
        ('{"model": "nvc-9"}', r"`model` \(='nvc-9'\) must be one of \['more-parameters', "),
        ('{"model": 3}', r"`model` \(=3\) must be one of"),
        ('{"model": {"architecture": "psychic"}}', "`architecture`"),
        ('{"model": {"architecture": "dense", "depth": 3}}', r"unknown fields \['depth'\]"),
        ('{"epochs": 0}', r"`epochs` \(=0\)"),
        ('{"epochs": "3"}', "the training configuration has a value of a wrong type"),
        (
            '{"model": {"architecture": "dense", "margin": "2"}}',
            "of a dense model has a value of a wrong type",
        ),
    ],
)
def test_wrong_configurations_are_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        training_config(path)


def test_missing_configurations_are_named() -> None:
    with pytest.raises(FileNotFoundError, match="neither a file nor one of nvc-1, zero-margin"):
        train("nothing.json", [smooth_volume()])


@pytest.mark.parametrize("config", [DENSE, SPECTRAL], ids=["dense", "spectral"])
def test_training_takes_a_sequence_of_at_least_one_volume(config: TrainingConfig) -> None:
    with pytest.raises(ValueError, match="`volumes` must hold at least one volume"):
        train(config, [])
    with pytest.raises(TypeError, match="must be sequences of volumes"):
        train(config, "v.npy")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        train(config, ["nothing.npy"])


def test_spectral_models_take_no_validation_volumes() -> None:
    with pytest.raises(ValueError, match=r"`validation` \(=v\.npy\): spectral models take none"):
        train(SPECTRAL, [smooth_volume()], validation=["v.npy"])
