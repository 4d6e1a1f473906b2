import pytest

from nvc_jax.cli import main
from nvc_jax.models.checkpoints import load_checkpoint, shipped_models
from nvc_jax.models.identity import model_sha256


def test_shipped_models_are_listed(capsys: pytest.CaptureFixture) -> None:
    assert main(["models"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[-1] == "SHA-256"
    assert [row.split()[0] for row in rows] == list(shipped_models())
    for name, row in zip(shipped_models(), rows, strict=True):
        config, params = load_checkpoint(name)
        assert config.architecture in row
        assert row.split()[-1] == model_sha256(config, params)[:12]
