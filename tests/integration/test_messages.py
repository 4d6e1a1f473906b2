"""Messages of wrong usage name the argument, its value, the rule and the next step."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli import main
from nvc_jax.cli.main import make_parser

VOLUME = np.arange(8 * 8 * 8, dtype=np.float32).reshape(8, 8, 8)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working directory with a volume, a container, and files of other contents."""
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", VOLUME)
    np.save("complex.npy", VOLUME.astype(np.complex64))
    np.save("series.npy", VOLUME.reshape(2, 4, 2, 4, 2, 4))
    nvc_jax.compress(VOLUME, "v.zarr", lossless=True)
    nvc_jax.compress(VOLUME, "v.zarr.zip", lossless=True)
    (tmp_path / "empty").mkdir()
    with h5py.File("series.h5", "w") as file:
        file["t"] = VOLUME.reshape(2, 4, 2, 4, 2, 4)
        file["time"] = np.zeros(3)
    with h5py.File("two.h5", "w") as file:
        file["a"] = file["b"] = VOLUME
    with h5py.File("none.h5", "w"):
        pass
    return tmp_path


COMMANDS: dict[str, list[str]] = {
    "info v.npy": ["`v.npy` is no container", "neither a directory nor a .zip file", "`nvc compress` makes"],
    "info empty": ["`empty` is no Zarr v3 array", "lacks `zarr.json`"],
    "info nothing.zarr": ["`nothing.zarr` does not exist"],
    "verify v.zarr v.npy": [
        "`original` (=v.zarr) is a container",
        "`container` (=v.npy)",
        "volume comes first",
    ],
    "evaluate v.zarr v.npy": [
        "`original` (=v.zarr) is a container",
        "`container` (=v.npy)",
        "volume comes first",
    ],
    "verify v.npy": ["`v.npy` is no container", "`nvc compress` makes"],
    "decompress v.npy w.npy": ["`v.npy` is no container", "`nvc compress` makes"],
    "compress v.zarr w.zarr": ["`source` (=v.zarr) is a container", "decompress it first"],
    "compress v.zarr.zip w.zarr": ["`source` (=v.zarr.zip) is a container", "decompress it first"],
    "decompress v.zarr w.npy --region 0:9,:,:": ["`region` (=0:9,:,:)", "must lie within", "0:8,0:8,0:8"],
    "decompress v.zarr w.npy --region 4:4,:,2:": ["`region` (=4:4,:,2:)", "not be empty"],
    "compress v.npy w.zarr --max-error inf": [
        "`max_error` (=inf)",
        "must be finite and not negative",
        "`step`",
    ],
    "compress v.npy w.zarr --max-error nan": ["`max_error` (=nan)", "must be finite"],
    "compress v.npy w.zarr --relative-error -1": [
        "`relative_error` (=-1.0)",
        "must be finite and not negative",
    ],
    "compress v.npy w.zarr --psnr inf": ["`psnr` (=inf)", "must lie between 10 and 90 dB"],
    "compress v.npy w.zarr --step 0": ["`step` (=0.0)", "must lie between"],
    "compress complex.npy w.zarr": ["has dtype complex64", "supported dtypes are", "two volumes"],
    "compress series.npy w.zarr": ["has shape (2, 4, 2, 4, 2, 4)", "2 to 5 axes", "such as `volume[0]`"],
    "compress series.h5 w.zarr": [
        "`/t` has shape (2, 4, 2, 4, 2, 4)",
        "2 to 5 axes",
        "`file['/dataset'][0]`",
    ],
    "compress two.h5 w.zarr": ["holds the datasets /a, /b", "name one as `two.h5::/a`"],
    "compress two.h5::/c w.zarr": ["no dataset `/c`", "name one that may be a volume: /a, /b"],
    "compress series.h5::/c w.zarr": ["no dataset `/c`", "there is none"],
    "compress series.h5::/t w.zarr": ["has shape (2, 4, 2, 4, 2, 4)", "such as `volume[0]`"],
    "compress none.h5 w.zarr": ["no dataset with 2 to 5 axes", "it has no datasets"],
    "compress v.npy w.zarr --chunk 8,8,9": ["`chunks` (=8,8,9)", "multiples of the model's block size (=8)"],
    "compress v.npy w.zarr --chunk 8192,8192,8192": [
        "`chunks` (=8192,8192,8192)",
        "at most 268435456 voxels",
    ],
    "compress v.npy w.zarr --part 2/2": ["`part` (=(2, 2))", "such as (0, 2)"],
}
"""Commands, and what is in their messages."""


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_say_what_is_wrong(command: str, here: Path, capsys: pytest.CaptureFixture) -> None:
    before = sorted(here.iterdir())
    assert main(command.split()) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"nvc {command.split()[0]}: ")
    for part in COMMANDS[command]:
        assert part in message
    for part in ("Traceback", "slice(", "EOCD", "[]"):
        assert part not in message
    assert sorted(here.iterdir()) == before


CALLS: dict[str, tuple[Callable[[], Any], type[Exception], list[str]]] = {
    **{
        f"{name}={value!r}": (
            lambda name=name, value=value: nvc_jax.compress(VOLUME, "w.zarr", **{name: value}),
            TypeError,
            [f"`{name}` (={value!r})", rule],
        )
        for name, value, rule in (
            *(
                (name, "0.1", "must be a number, not str")
                for name in ("max_error", "relative_error", "psnr", "step")
            ),
            ("max_error", True, "must be a number, not bool"),
            ("max_error", [0.1], "must be a number, not list"),
            ("lossless", "yes", "must be True or False, not str"),
            ("chunks", "8,8,8", "must be integers"),
            ("chunks", 8, "must be integers"),
            ("chunks", (8.0, 8, 8), "must be integers"),
            ("shards", (None, 8, 8), "must be integers"),
            ("part", "0/2", "must be integers"),
        )
    },
    "two targets": (
        lambda: nvc_jax.compress(VOLUME, "w.zarr", max_error=1, psnr=40),
        ValueError,
        ["`max_error` (=1.0)", "`psnr` (=40.0)", "exclude each other"],
    ),
    "a line": (
        lambda: nvc_jax.compress(VOLUME[0, 0], "w.zarr"),
        ValueError,
        ["`volume` has shape (8,)", "2 to 5 axes", "add axes of length 1"],
    ),
    "an empty volume": (
        lambda: nvc_jax.compress(VOLUME[:0], "w.zarr"),
        ValueError,
        ["`volume` has shape (0, 8, 8)", "no side may be empty"],
    ),
    "complex numbers": (
        lambda: nvc_jax.compress(VOLUME.astype(np.complex64), "w.zarr"),
        TypeError,
        ["`volume` has dtype complex64", "two volumes"],
    ),
    "a region of two axes": (
        lambda: nvc_jax.decompress("v.zarr", "w.npy", region=(slice(0, 4), slice(0, 4))),
        ValueError,
        ["`region` (=0:4,0:4)", "must be 3 slices, one for each axis of the volume, 0:8,0:8,0:8"],
    ),
    "a region with steps": (
        lambda: nvc_jax.decompress("v.zarr", "w.npy", region=(slice(0, 4, 2), slice(None), slice(None))),
        ValueError,
        ["`region` (=0:4:2,:,:)", "have no steps"],
    ),
    "a mode": (lambda: nvc_jax.open("v.zarr", mode="mix"), ValueError, ["`mode` (='mix')", "blend"]),
    "a level": (lambda: nvc_jax.open("v.zarr", level="low"), ValueError, ["`level` (='low')", "preview"]),
}
"""Calls, the types of their errors, and what is in the messages."""


@pytest.mark.parametrize("name", CALLS)
def test_calls_say_what_is_wrong(name: str, here: Path) -> None:
    call, error, parts = CALLS[name]
    before = sorted(here.iterdir())
    with pytest.raises(error) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)
    assert sorted(here.iterdir()) == before


def test_every_command_that_reads_is_in_the_table() -> None:
    commands = re.findall(r"^    (\w+) ", make_parser().format_help(), re.MULTILINE)
    reading = set(commands) - {"train", "models", "fetch", "demo"}
    assert reading <= {command.split()[0] for command in COMMANDS}
