import json
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.cli import main


@pytest.fixture
def labels(here: Path) -> Path:
    """Working directory that holds ``l.npy``, 16 × 16 × 16 bool."""
    volume = np.zeros((16, 16, 16), bool)
    volume[3:9, 4:7] = True
    np.save("l.npy", volume)
    return here


def test_nothing_is_written(labels: Path, capsys: pytest.CaptureFixture) -> None:
    before = sorted(labels.iterdir())
    assert main(["compress", "l.npy", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "lossless" in printed
    assert "nothing was written; all chunks were encoded" in printed
    assert main(["compress", "l.npy", "l.zarr", "--dry-run", "--lossless", "--json"]) == 0
    (estimate,) = json.loads(capsys.readouterr().out)["estimates"]
    assert (estimate["target"], estimate["psnr_db"], estimate["share"]) == ({"lossless": True}, None, 1)
    assert sorted(labels.iterdir()) == before


def test_a_container_must_be_named_without_it(labels: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["compress", "l.npy"])
    assert caught.value.code == 2
    assert "required: OUT; --dry-run writes none" in capsys.readouterr().err
    assert main(["compress", "l.npy", "--dry-run", "--part", "0/2"]) == 1
    assert "`--dry-run` tells of a whole run" in capsys.readouterr().err
