import json
from pathlib import Path

import jax
import numpy as np
import pytest

from nvc_jax import load_codec
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.networks import init_params
from nvc_jax.models.checkpoints import save_checkpoint, shipped_models
from nvc_jax.models.identity import model_sha256

CONFIG = DenseConfig(block_size=2, hidden_sizes=(3,), latent_dim=2)


def saved(directory: Path) -> tuple[Path, dict]:
    params = init_params(CONFIG, key=jax.random.key(0))
    save_checkpoint(directory / "model", CONFIG, params, "# Card\n")
    return directory / "model", params


def test_round_trip(tmp_path: Path) -> None:
    path, params = saved(tmp_path)
    codec = load_codec(path)
    assert codec.config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, codec.params, params)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_sha256_names_config_and_parameters() -> None:
    params = init_params(CONFIG, key=jax.random.key(0))
    sha256 = model_sha256(CONFIG, params)
    assert sha256 == model_sha256(CONFIG, jax.device_get(params))
    changed = jax.tree.map(lambda leaf: leaf + 1, params)
    assert sha256 != model_sha256(CONFIG, changed)


def test_existing_directory_is_kept(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(FileExistsError, match="exists already"):
        saved(tmp_path)


def test_missing_foreign_and_damaged_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'no-such-model'"):
        load_codec("no-such-model")
    path, _ = saved(tmp_path)
    config_path = path / "config.json"
    description = json.loads(config_path.read_text())
    config_path.write_text(json.dumps({**description, "sha256": "0" * 64}))
    with pytest.raises(ValueError, match="damaged"):
        load_codec(path)
    config_path.write_text("{}")
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_codec(path)
    config_path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        load_codec(path)


def test_shipped_models_load_and_have_cards() -> None:
    for name, path in shipped_models().items():
        codec = load_codec(name)
        description = json.loads((path / "config.json").read_text())
        assert load_codec(description["sha256"]).config == codec.config
        card = (path / "CARD.md").read_text()
        words = ("bits",) if codec.config.architecture == "spectral" else ("steps", "MSE")
        assert all(word in card for word in ("Training volumes", "licence", *words))
        assert "not stated" not in card
