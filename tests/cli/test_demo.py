from pathlib import Path

import pytest

from nvc_jax.cli import main
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume


def test_the_sample_is_a_volume() -> None:
    volume = read_volume(SAMPLE)
    assert (volume.shape, str(volume.dtype)) == ((96, 96, 96), "uint8")


def test_unknown_models_are_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["demo", "--output", str(tmp_path / "demo.png"), "--model", "nvc-99"]) == 1
    assert "neither a shipped model" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_picture_of_the_users_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    picture = tmp_path / "nvc-demo.png"
    picture.write_text("a picture of the user's")
    assert main(["demo", "--output", str(picture)]) == 1
    assert "is an existing file; name a new path, or pass" in capsys.readouterr().err
    assert picture.read_text() == "a picture of the user's"
