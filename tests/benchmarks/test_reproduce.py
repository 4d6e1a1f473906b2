import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reproduce
from fetch_volumes import SOURCES

from nvc_jax.models.checkpoints import load_checkpoint, read_description, shipped_models
from nvc_jax.models.training import train, training_config
from nvc_jax.training.metrics import METRICS, read_metrics

TINY: dict[str, Any] = {
    "model": {"architecture": "dense", "margin": 0, "hidden_sizes": [16], "latent_dim": 8},
    "epochs": 2,
    "batch_size": 8,
    "blocks_per_volume": 20,
}


def test_a_model_is_trained_again_from_its_card_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [Path("volumes") / f"{name}_16x16x16_float32.npz" for name in ("b", "a")]
    paths[0].parent.mkdir()
    for seed, path in enumerate(paths):
        np.savez(path, volume=np.random.default_rng(seed).random((16, 16, 16), np.float32))
    first = train(TINY, paths)
    first.save("checkpoints/tiny")
    command = ["volumes", "tiny", "--checkpoints", "checkpoints", "--output", "again"]
    assert reproduce.main(command) == 0
    assert read_description(Path("again"))["sha256"] == read_description(Path("checkpoints/tiny"))["sha256"]
    curve = read_metrics(Path("again") / METRICS)
    assert [report.loss for report in curve] == [report.loss for report in first.history]
    paths[1].unlink()
    command[-1] = "third"
    assert reproduce.main(command) == 1


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_have_what_trains_them_again(name: str) -> None:
    path = shipped_models()[name]
    config = training_config(path / "training.json")
    assert config.model == load_checkpoint(name)[0]
    card = (path / "CARD.md").read_text()
    for setting, value in config.card_settings.items():
        assert f"| {setting} | {value} |" in card
    with SOURCES.open(newline="") as file:
        known = {row["file"] for row in csv.DictReader(file)}
    volumes = reproduce.card_volumes(card)
    assert len(volumes) >= 40
    assert known.issuperset(volumes)


@pytest.mark.parametrize("name", [name for name in shipped_models() if name != "nvc-1"])
def test_the_settings_of_shipped_networks_train(name: str) -> None:
    """A few steps on one small volume; nvc-1 is fitted in ``tests/spectral/training``."""
    settings = training_config(shipped_models()[name] / "training.json")
    few = {"epochs": 2, "batch_size": 8, "blocks_per_volume": 16}
    volume = np.random.default_rng(0).random((24, 24, 24), np.float32)
    result = train(dataclasses.replace(settings, **few), [volume])
    assert [report.step for report in result.history] == [2, 4]
