import json
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.cli import main


@pytest.fixture
def noise(here: Path) -> Path:
    """Working directory that holds ``n.npy``, 16 × 16 × 16 uint8."""
    np.save("n.npy", np.random.default_rng(0).integers(0, 200, (16, 16, 16)).astype(np.uint8))
    return here


def test_codecs_are_compared(noise: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["compare", "n.npy", "--lossless", "--plot", "p.png"]) == 0
    printed = capsys.readouterr().out
    for word in ("nvc-1", "Zstandard", "Blosc2", "encode MB/s", "tried: 100 %", "lossless: ", "plot: p.png"):
        assert word in printed
    assert Path("p.png").stat().st_size > 1000
    assert main(["compare", "n.npy", "--lossless", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["codec"] for row in result["codecs"]] == ["nvc-1", "Zstandard", "Blosc2"]
    assert result["codecs"][0]["psnr_db"] is None
    assert len(result["verdicts"]) == 1


def test_a_picture_of_the_users_is_kept(noise: Path, capsys: pytest.CaptureFixture) -> None:
    Path("p.png").write_text("a picture of the user's")
    assert main(["compare", "n.npy", "--lossless", "--plot", "p.png"]) == 1
    assert "is an existing file" in capsys.readouterr().err
    assert Path("p.png").read_text() == "a picture of the user's"
    assert main(["compare", "n.npy", "--against", "png"]) == 1
    assert "'png' is no codec known here" in capsys.readouterr().err
