import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli import main
from nvc_jax.cli.training_figures import LEARNING_CURVE, RECONSTRUCTIONS
from nvc_jax.models.training import training_config
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.training.metrics import METRICS, read_metrics

DENSE: dict[str, Any] = {
    "model": {"architecture": "dense", "margin": 0, "hidden_sizes": [16], "latent_dim": 8},
    "epochs": 2,
    "batch_size": 8,
    "blocks_per_volume": 40,
}
SPECTRAL: dict[str, Any] = {
    "model": {"architecture": "spectral", "n_classes": 4, "n_tables": 4, "n_quantizers": 1, "n_profiles": 1},
    "blocks_per_volume": 14,
}


def test_train_makes_a_model_that_compresses(here: Path, capsys: pytest.CaptureFixture) -> None:
    Path("config.json").write_text(json.dumps(DENSE))
    train = ["train", "config.json", "v.npy", "--output", "model", "--validation", "v.npy", "--keep", "best"]
    assert main([*train, "--figures", "figures", "--tensorboard", "events"]) == 0
    printed = capsys.readouterr()
    assert "validation 0." in printed.err
    assert "% of it waiting for data)" in printed.out
    assert sorted(entry.name for entry in here.iterdir()) == [
        *("config.json", "events", "figures", "model", "v.npy")
    ]
    assert sorted(entry.name for entry in Path("figures").iterdir()) == [LEARNING_CURVE, RECONSTRUCTIONS]
    assert next(Path("events").iterdir()).name.startswith("events.out.tfevents")
    history = read_metrics(Path("model") / METRICS)
    assert history[-1].step == history[-1].total_steps
    assert "v.npy" in (here / "model" / "CARD.md").read_text()
    assert json.loads((here / "model" / "training.json").read_text())["epochs"] == 2
    assert main(["compress", "v.npy", "v.zarr", "--model", "model"]) == 0
    assert main(["evaluate", "v.npy", "v.zarr"]) == 0
    assert main(train) == 1
    assert "exists already" in capsys.readouterr().err
    train[train.index("model")] = "other"
    assert main([*train, "--figures", "figures"]) == 1
    assert "learning-curve.png" in capsys.readouterr().err
    assert not Path("other.training").exists()


def test_a_spectral_model_is_fitted(here: Path, capsys: pytest.CaptureFixture) -> None:
    volume = np.load("v.npy")[:16, :16, :16].astype(np.uint16)
    volume.astype(">u2").tofile("small.bin")
    Path("config.json").write_text(json.dumps(SPECTRAL))
    train = ["train", "config.json", "small.bin", "--output", "model"]
    assert main(train) == 1
    assert "--shape" in capsys.readouterr().err
    train += ["--shape", "16,16,16", "--dtype", "uint16", "--byte-order", "big"]
    assert main([*train, "--validation", "v.npy"]) == 1
    assert "spectral models take none" in capsys.readouterr().err
    assert not Path("model").exists()

    assert main([*train, "--minutes", "-3"]) == 1
    assert "`--minutes` (=-3.0) must be a number above 0, such as 30" in capsys.readouterr().err
    assert not Path("model.training").exists()

    assert main(train) == 0
    codec = nvc_jax.load_codec("model")
    assert codec.config == SpectralConfig(n_classes=4, n_tables=4, n_quantizers=1, n_profiles=1)
    expected = nvc_jax.train(SPECTRAL, [volume], seed=0).codec
    jax.tree.map(np.testing.assert_array_equal, codec.params, expected.params)
    assert training_config("model/training.json") == training_config(SPECTRAL)
    assert main(["compress", "v.npy", "v.zarr", "--model", "model"]) == 0
    assert main(["evaluate", "v.npy", "v.zarr"]) == 0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("nothing.json", "neither a file nor"),
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"a": 1}', "unknown"),
    ],
)
def test_bad_training_configurations_are_named(
    config: str, message: str, here: Path, capsys: pytest.CaptureFixture
) -> None:
    if config != "nothing.json":
        Path("config.json").write_text(config)
        config = "config.json"
    assert main(["train", config, "v.npy", "--output", "model"]) == 1
    assert message in capsys.readouterr().err
    assert not Path("model").exists()


def test_a_directory_of_the_users_beside_the_model_is_kept(here: Path, capsys: pytest.CaptureFixture) -> None:
    Path("model.training").mkdir()
    Path("model.training", "thesis.txt").write_text("the only copy")
    assert main(["train", "nvc-1", "v.npy", "--output", "model"]) == 1
    assert "holds `thesis.txt` and no training run" in capsys.readouterr().err
    assert Path("model.training", "thesis.txt").read_text() == "the only copy"


@pytest.mark.parametrize("output", ["file/model", "file/deep/model", "/proc/model"])
def test_a_directory_that_cannot_be_written_is_named(
    output: str, here: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("file").touch()
    assert main(["train", "nvc-1", "v.npy", "--output", output]) == 1
    message = capsys.readouterr().err
    assert f"`{Path(output).absolute().parent}` cannot be written: " in message
    assert message.endswith("; make it, or name another one\n")
