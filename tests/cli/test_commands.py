import json
from pathlib import Path

import numpy as np
import pytest
from make_golden import GOLDEN
from nvc_jax.cli.commands import main

import nvc_jax
from nvc_jax.cli import commands
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.spectral.config import SpectralConfig


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", read_volume(SAMPLE)[:20, :24, :28])
    return tmp_path


def test_compress_decompress_evaluate(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert (
        main(["compress", "v.npy", "v.zarr", "--model", "zero-margin", "--chunk", "16,16,16", "--json"]) == 0
    )
    summary = json.loads(capsys.readouterr().out)
    assert summary["model"] == "zero-margin"
    assert main(["info", "v.zarr", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["shape"] == [20, 24, 28]
    assert info["chunk"] == [16, 16, 16]
    assert info["stored_bytes"] == summary["stored_bytes"]
    assert main(["evaluate", "v.npy", "v.zarr", "--json"]) == 0
    measures = json.loads(capsys.readouterr().out)
    assert measures.keys() >= {"bits_per_voxel", "ratio", "mse", "psnr_db", "max_error", "ssim"}
    assert main(["decompress", "v.zarr", "w.npy", "--region", "2:5,:,10:", "--mode", "crop"]) == 0
    assert np.load("w.npy").shape == (3, 24, 18)


def test_rates_are_chosen(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["compress", "v.npy", "v.zarr", "--psnr", "35"]) == 0
    assert main(["info", "v.zarr", "--json"]) == 0
    info = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert info["model"] == "nvc-1"
    assert info["step"] > 0
    assert "ends" not in info
    assert main(["compress", "v.npy", "v.zarr", "--step", "0.2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bits_per_voxel"] < info["bits_per_voxel"]
    for model, rate in (("zero-margin", ["--step", "0.5"]), ("more-parameters", ["--psnr", "24"])):
        assert main(["compress", "v.npy", "v.zarr", "--model", model, *rate]) == 0
        assert main(["evaluate", "v.npy", "v.zarr"]) == 0
    assert main(["compress", "v.npy", "v.zarr", "--model", "zero-margin", "--psnr", "80"]) == 1
    assert "dB at best" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compress", "v.npy", "v.zarr", "--step", "0.1", "--psnr", "35"])


def test_exact_copies_give_strict_json(here: Path, capsys: pytest.CaptureFixture) -> None:
    np.save("constant.npy", np.ones((8, 8, 8), np.uint8))
    assert main(["compress", "constant.npy", "c.zarr"]) == 0
    assert main(["evaluate", "constant.npy", "c.zarr"]) == 0
    assert "psnr_db         inf" in capsys.readouterr().out
    assert main(["evaluate", "constant.npy", "c.zarr", "--json"]) == 0
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["psnr_db"] is None


def test_errors_are_one_line_and_a_status(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["compress", "nothing.npy", "v.zarr"]) == 1
    assert capsys.readouterr().err == "nvc compress: `nothing.npy` does not exist\n"
    assert [entry.name for entry in here.iterdir()] == ["v.npy"]


@pytest.mark.parametrize(
    "arguments", [["decompress", "a", "b", "--region", "1:2,3"], ["compress", "a", "b", "--chunk", "8,8"]]
)
def test_wrong_usage_says_how(arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "must be" in capsys.readouterr().err


def test_train_makes_a_model_that_compresses(here: Path, capsys: pytest.CaptureFixture) -> None:
    config = {"model": {"architecture": "dense", "margin": 0, "hidden_sizes": [16], "latent_dim": 8}}
    config |= {"epochs": 2, "batch_size": 8, "blocks_per_volume": 40}
    Path("config.json").write_text(json.dumps(config))
    train = ["train", "config.json", "v.npy", "--output", "model", "--validation", "v.npy"]
    assert main(train) == 0
    assert "validation 0." in capsys.readouterr().err
    assert sorted(entry.name for entry in here.iterdir()) == ["config.json", "model", "v.npy"]
    assert "v.npy" in (here / "model" / "CARD.md").read_text()
    assert json.loads((here / "model" / "training.json").read_text())["epochs"] == 2
    assert main(["compress", "v.npy", "v.zarr", "--model", "model"]) == 0
    assert main(["evaluate", "v.npy", "v.zarr"]) == 0
    assert main(train) == 1
    assert "exists already" in capsys.readouterr().err


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


def test_a_spectral_model_is_fitted(
    here: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The README's commands fit a model indeed, which takes long.
    params = nvc_jax.load_codec(GOLDEN / "model").params
    given = []
    monkeypatch.setattr(
        commands, "fit_spectral", lambda *args, **options: given.append((args, options)) or params
    )
    config = {"model": {"architecture": "spectral", "n_quantizers": 1, "n_profiles": 1}}
    Path("config.json").write_text(json.dumps(config))
    train = ["train", "config.json", "v.npy", "--output", "model"]
    assert main([*train, "--validation", "v.npy"]) == 1
    assert "spectral models take none" in capsys.readouterr().err
    assert main(train) == 0
    [((volumes, fitted), options)] = given
    np.testing.assert_array_equal(volumes[0], np.load("v.npy"))
    assert fitted == SpectralConfig(n_quantizers=1, n_profiles=1)
    assert options == {"seed": 0, "augment": False}
    assert main(["compress", "v.npy", "v.zarr", "--model", "model"]) == 0
    assert main(["evaluate", "v.npy", "v.zarr"]) == 0


def test_models_and_datasets_are_listed(capsys: pytest.CaptureFixture) -> None:
    assert main(["models"]) == 0
    assert "two-wide-margin" in capsys.readouterr().out
    assert main(["fetch"]) == 0
    assert "nucleon" in capsys.readouterr().out
    assert main(["fetch", "nucleo"]) == 1
    assert "did you mean nucleon" in capsys.readouterr().err
