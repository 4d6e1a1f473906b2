import json
from pathlib import Path

import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli import main


def test_measures_are_those_of_evaluate(here: Path, capsys: pytest.CaptureFixture) -> None:
    nvc_jax.compress("v.npy", "v.zarr", model="two-wide-margin", chunks=(16, 16, 16))
    for mode in ("blend", "crop"):
        assert main(["evaluate", "v.npy", "v.zarr", "--json", "--mode", mode]) == 0
        measures = json.loads(capsys.readouterr().out)
        assert measures.keys() >= {"bits_per_voxel", "ratio", "mse", "psnr_db", "max_error", "ssim"}
        assert measures == nvc_jax.evaluate("v.npy", "v.zarr", mode=mode)


def test_exact_copies_give_strict_json(here: Path, capsys: pytest.CaptureFixture) -> None:
    np.save("constant.npy", np.ones((8, 8, 8), np.uint8))
    assert main(["compress", "constant.npy", "c.zarr"]) == 0
    assert main(["evaluate", "constant.npy", "c.zarr"]) == 0
    assert "psnr_db         inf" in capsys.readouterr().out
    assert main(["evaluate", "constant.npy", "c.zarr", "--json"]) == 0
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["psnr_db"] is None
