import sys
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.cli import main
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.cli.demonstration import run_demo
from nvc_jax.io.volumes import read_volume


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    np.save(tmp_path / "v.npy", read_volume(SAMPLE)[:20, :24, :28])
    return tmp_path / "v.npy"


def test_rivals_have_at_least_as_many_bits(sample: Path, tmp_path: Path) -> None:
    results = run_demo(sample, tmp_path / "demo.png")
    assert [name.split()[0] for name in results] == ["nvc-1", "SPERR", "SZ3", "zfp"]
    own = results["nvc-1"]
    assert own["compile_seconds"] >= 0
    for name, measures in results.items():
        assert measures["ratio"] <= own["ratio"] / 0.99, name
        assert measures["psnr_db"] > 20
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_without_rivals_the_command_says_how_to_get_them(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    results = run_demo(here / "v.npy", here / "demo.png")
    assert [*results] == ["nvc-1"]
    assert main(["demo", "--json", "--output", str(here / "demo.png")]) == 1
    assert "is an existing file" in capsys.readouterr().err
