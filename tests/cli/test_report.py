import json
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.cli import main
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume


@pytest.fixture
def flat(here: Path) -> Path:
    """Working directory that holds ``f.npy``, 5 × 16 × 16 uint8, and its container ``f.zarr``, lossless."""
    np.save("f.npy", read_volume(SAMPLE)[:5, :16, :16])
    assert main(["compress", "f.npy", "f.zarr", "--lossless"]) == 0
    return here


def test_a_page_has_the_name_of_the_container(flat: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["report", "f.npy", "f.zarr"]) == 0
    printed = capsys.readouterr().out
    assert "page            f.html\n" in printed
    assert "bound kept      yes\n" in printed
    text = Path("f.html").read_text()
    assert "f.npy, compressed by nvc" in text
    assert main(["report", "f.npy", "f.zarr"]) == 1
    assert "`f.html` is an existing file" in capsys.readouterr().err
    assert main(["report", "f.npy", "f.zarr", "--overwrite", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["voxels"], result["kept"]) == (5 * 16 * 16, True)


def test_wrong_codecs_and_places_are_named_by_options(flat: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["report", "f.npy", "f.zarr", "--against", "sz3,jpeg"]) == 1
    assert "`--against` (=sz3,jpeg): 'jpeg' is no codec known here" in capsys.readouterr().err
    assert main(["report", "f.npy", "f.zarr", "--at", "z=1"]) == 1
    assert "`--at` (=z=1): `z` is an axis of space" in capsys.readouterr().err
    spec = json.dumps({"driver": "file", "path": f"{flat}/f.zarr/"})
    assert main(["report", "f.npy", spec]) == 1
    assert "give OUT.html" in capsys.readouterr().err
    assert not list(flat.glob("*.html"))


def test_parts_and_raw_files_are_named(flat: Path) -> None:
    np.save("two.npy", np.stack([np.load("f.npy")] * 2))
    assert main(["report", "two.npy", "f.zarr", "part.html", "--select", "0=1"]) == 0
    assert "<title>two.npy[0=1], compressed by nvc" in Path("part.html").read_text()
    np.load("f.npy").tofile("f.bin")
    layout = ["--shape", "5,16,16", "--dtype", "uint8"]
    assert main(["report", "f.bin", "f.zarr", "raw.html", *layout]) == 0
    assert "<title>f.bin, compressed by nvc" in Path("raw.html").read_text()
