import contextlib
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from drawn_params import draw_params

from nvc_jax import load_codec
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.models.checkpoints import (
    find_checkpoint,
    find_shipped,
    read_description,
    save_checkpoint,
    shipped_directory,
    shipped_models,
    stated_sha256,
)

CONFIG = DenseConfig(block_size=2, hidden_sizes=(3,), latent_dim=2)


def saved(directory: Path) -> tuple[Path, dict]:
    params = draw_params(CONFIG)
    save_checkpoint(directory / "model", CONFIG, params, "# Card\n")
    return directory / "model", params


def test_round_trip(tmp_path: Path) -> None:
    path, params = saved(tmp_path)
    codec = load_codec(path)
    assert codec.config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, codec.params, params)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_other_layouts_are_left_to_orbax(tmp_path: Path) -> None:
    path, params = saved(tmp_path)
    shutil.rmtree(path / "params")
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False)
    with contextlib.closing(ocp.Checkpointer(handler)) as checkpointer:
        checkpointer.save((path / "params").absolute(), params)
    jax.tree.map(np.testing.assert_array_equal, load_codec(path).params, params)


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


def test_checkpoints_are_found_by_name_path_and_sha256(tmp_path: Path) -> None:
    path, _ = saved(tmp_path)
    assert find_checkpoint(path) == find_checkpoint(str(path)) == path
    assert list(shipped_models()) == ["more-parameters", "nvc-1", "two-wide-margin", "zero-margin"]
    for name, shipped in shipped_models().items():
        assert shipped == shipped_directory() / name
        sha256 = json.loads((shipped / "config.json").read_text())["sha256"]
        assert find_checkpoint(name) == find_checkpoint(sha256) == shipped
    with pytest.raises(FileNotFoundError, match="more-parameters, nvc-1, two-wide-margin, zero-margin"):
        find_checkpoint(tmp_path / "nothing")


def test_settings_of_the_training_are_kept(tmp_path: Path) -> None:
    params = draw_params(CONFIG)
    save_checkpoint(tmp_path / "model", CONFIG, params, "# Card\n", {"epochs": 3})
    assert json.loads((tmp_path / "model" / "training.json").read_text()) == {"epochs": 3}
    assert (tmp_path / "model" / "CARD.md").read_text() == "# Card\n"


def test_shipped_models_load_and_have_cards() -> None:
    for name, path in shipped_models().items():
        codec = load_codec(name)
        description = json.loads((path / "config.json").read_text())
        assert load_codec(description["sha256"]).config == codec.config
        card = (path / "CARD.md").read_text()
        words = ("bits",) if codec.config.architecture == "spectral" else ("steps", "MSE")
        assert all(word in card for word in ("Training volumes", "licence", *words))
        assert "not stated" not in card


def test_shipped_models_are_found_by_the_first_digits_of_their_sha256() -> None:
    path = shipped_models()["zero-margin"]
    sha256 = read_description(path)["sha256"]
    assert find_shipped(sha256) == find_shipped(sha256[:16]) == path
    for other in (sha256[:15], "", sha256[1:], "zero-margin", str(path)):
        assert find_shipped(other) is None


def test_a_sha256_is_read_again_where_it_has_changed(tmp_path: Path) -> None:
    for digits in ("01", "234"):
        (tmp_path / "config.json").write_text(json.dumps({"sha256": digits}))
        assert stated_sha256(tmp_path) == stated_sha256(tmp_path) == digits
