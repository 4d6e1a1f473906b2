from pathlib import Path

import pytest

from nvc_jax.cli import main


def test_datasets_are_listed(capsys: pytest.CaptureFixture) -> None:
    assert main(["fetch"]) == 0
    assert "nucleon" in capsys.readouterr().out


def test_near_names_are_suggested(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["fetch", "nucleo", "--directory", str(tmp_path)]) == 1
    assert "did you mean nucleon" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
