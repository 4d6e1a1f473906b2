"""Messages of wrong usage name the argument, its value, the rule and the next step."""

import contextlib
import re
import shutil
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


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a volume, a container, and files of other contents."""
    folder = tmp_path_factory.mktemp("files")
    with contextlib.chdir(folder):
        make_files()
    return folder


@pytest.fixture
def here(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working directory with a copy of all ``files``."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_files() -> None:
    np.save("v.npy", VOLUME)
    np.save("complex.npy", VOLUME.astype(np.complex64))
    np.save("series.npy", VOLUME.reshape(2, 4, 2, 4, 2, 4))
    nvc_jax.compress(VOLUME, "v.zarr", lossless=True)
    nvc_jax.compress(VOLUME, "v.zarr.zip", lossless=True)
    Path("empty").mkdir()
    for name in ("text.txt", "text.npy", "text.nii"):
        Path(name).write_text("some words\n" * 40)
    for name in ("bytes.f32", "s_8x8x9_float32.raw"):
        VOLUME.tofile(name)
    Path("cut.nrrd").write_text("NRRD0004\ntype: float\ndimension: 3\n")
    np.save("empty.npy", VOLUME[:0])
    np.save("words.npy", np.full((2, 2, 2), "abc"))
    with h5py.File("series.h5", "w") as file:
        file["t"] = VOLUME.reshape(2, 4, 2, 4, 2, 4)
        file["time"] = np.zeros(3)
    with h5py.File("two.h5", "w") as file:
        file["a"] = file["b"] = VOLUME
    with h5py.File("none.h5", "w"):
        pass


COMMANDS: dict[str, list[str]] = {
    "info v.npy": ["`v.npy` is no container", "neither a directory nor a .zip file", "`nvc compress` makes"],
    "info empty": ["`empty` is no Zarr v3 array", "lacks `zarr.json`"],
    "info nothing.zarr": ["`nothing.zarr` does not exist"],
    "verify v.zarr v.npy": [
        "`ORIGINAL` (=v.zarr) is a container",
        "`CONTAINER` (=v.npy)",
        "volume comes first",
    ],
    "evaluate v.zarr v.npy": [
        "`ORIGINAL` (=v.zarr) is a container",
        "`CONTAINER` (=v.npy)",
        "volume comes first",
    ],
    "view nothing.zarr": ["`nothing.zarr` does not exist"],
    "compress v.npy w.zarr --pyramid": ["`OUT` (=w.zarr)", "`--pyramid`", "ends in .ome.zarr"],
    "compress v.npy w.zarr::v --resume": ["`OUT` (=w.zarr::v)", "leave `--part` and `--resume` out"],
    "verify v.npy": ["`v.npy` is no container", "`nvc compress` makes"],
    "decompress v.npy w.npy": ["`v.npy` is no container", "`nvc compress` makes"],
    "compress v.zarr w.zarr": ["`IN` (=v.zarr) is a container", "decompress it first"],
    "compress v.zarr.zip w.zarr": ["`IN` (=v.zarr.zip) is a container", "decompress it first"],
    "decompress v.zarr w.npy --region 0:9,:,:": ["`--region` (=0:9,:,:)", "must lie within", "0:8,0:8,0:8"],
    "decompress v.zarr w.npy --region 4:4,:,2:": ["`--region` (=4:4,:,2:)", "not be empty"],
    "compress v.npy w.zarr --max-error inf": [
        "`--max-error` (=inf)",
        "must be finite and not negative",
        "`--step`",
    ],
    "compress v.npy w.zarr --max-error nan": ["`--max-error` (=nan)", "must be finite"],
    "compress v.npy w.zarr --relative-error -1": [
        "`--relative-error` (=-1.0)",
        "must be finite and not negative",
    ],
    **{
        f"compress v.npy w.zarr --pointwise-error {value}": [
            f"`--pointwise-error` (={float(value)})",
            "must be above 0 and below 1",
            "take `--lossless`",
        ]
        for value in ("0", "-0.1", "1", "inf", "nan")
    },
    "compress v.npy w.zarr --pointwise-error 0.1 --model zero-margin": [
        "`--pointwise-error` (=0.1)",
        "needs a spectral model: leave `--model` out",
    ],
    "compress v.npy w.zarr --psnr inf": ["`--psnr` (=inf)", "must lie between 10 and 90 dB"],
    "compress v.npy w.zarr --step 0": ["`--step` (=0.0)", "must lie between"],
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
    "compress v.npy w.zarr --chunk 8,8,9": ["`--chunk` (=8,8,9)", "multiples of the model's block size (=8)"],
    "compress v.npy w.zarr --chunk 8192,8192,8192": [
        "`--chunk` (=8192,8192,8192)",
        "at most 268435456 voxels",
    ],
    "compress v.npy w.zarr --shard 8,8,12": ["`--shard` (=8,8,12)", "multiples of the chunks (=8,8,8)"],
    "compress v.npy w.zarr --psnr 5": ["`--psnr` (=5.0)", "must lie between", "give a `--max-error`"],
    "compress v.npy w.zarr --step 3": ["`--step` (=3.0)", "must lie between", "give a `--max-error`"],
    "compress v.npy w.zarr --value-limits 0,1": [
        "`--value-limits` (=0, 1)",
        "do not hold the volume's values, from 0.0 to 511.0",
        "widen them",
        "`--missing-value`",
    ],
    "compress v.npy w.zarr --model nope": ["`--model` (='nope')", "neither a shipped model", "nvc-1"],
    "compress v.npy w.zarr --model two-wide-margin --lossless": ["`--lossless`", "leave `--model` out"],
    "compress v.npy w.zarr --dtype float32": ["`--dtype`", "needs its shape, too", "`--shape Z,Y,X`"],
    "compress v.npy w.zarr --shape 8,8,8": ["neither `--dtype` nor the suffix states the dtype", "uint8"],
    "compress bytes.f32 w.zarr --shape 8,8,9": ["holds 2048 bytes", "check `--shape` and `--dtype`"],
    "compress s_8x8x9_float32.raw w.zarr": ["holds 2048 bytes", "its name says 2304", "rename it"],
    "compress v.npy v.npy": ["one IN and one OUT", "existing .npy file", "in a loop"],
    "compress v.npy text.txt": ["`text.txt` is an existing file", "name a new path", "`--overwrite`"],
    "compress v.npy nowhere/w.zarr": ["directory of `nowhere/w.zarr` does not exist", "make it first"],
    "compress v.npy text.txt/w.zarr": ["directory of `text.txt/w.zarr` does not exist"],
    "compress v.npy .": ["`OUT` (=.) holds the source itself", "name a path outside of it"],
    "compress v.npy v.zarr/w.zarr": ["`v.zarr/w.zarr` lies inside `", "a Zarr array", "name a path outside"],
    "compress v.npy http://host/w.zarr": ["`OUT` (=http://host/w.zarr) is read-only", "name a path"],
    "compress v.npy s3://": ["the URL `s3://` names no bucket", "add it"],
    "compress http:///v.zarr w.zarr": ["the URL `http:///v.zarr` names no host", "add it"],
    "compress ftp://host/v w.zarr": ["`ftp://host/v`", "unsupported URL scheme", "name a path, a URL of"],
    "compress {} w.zarr": ["`{}`", "driver", "a spec with a driver and its fields"],
    "compress { w.zarr": ["'{' is no JSON of a TensorStore spec"],
    'compress {"driver":"nope"} w.zarr': ["nope", "not a registered", "a spec with a driver and its fields"],
    "compress text.txt w.zarr": [
        "`text.txt`: the suffix must be one of .npy",
        "`--shape Z,Y,X --dtype DTYPE`",
    ],
    "compress text.npy w.zarr": ["`text.npy` is not a readable .npy array", "copy it anew", "suffix"],
    "compress text.nii w.zarr": ["`text.nii` is not a readable NIfTI file", "copy it anew", "suffix"],
    "compress cut.nrrd w.zarr": ["`cut.nrrd` is not a readable NRRD file", "lacks 'sizes'", "copy it anew"],
    "compress empty w.zarr": ["`empty` is a directory but no readable Zarr array", "name a file"],
    "compress empty.npy w.zarr": ["`empty.npy` has shape (0, 8, 8)", "every axis takes a voxel or more"],
    "compress words.npy w.zarr": ["`words.npy` has dtype <U3", "supported dtypes are", "convert it"],
    "compress nothing.npy w.zarr": ["`nothing.npy` does not exist"],
    "decompress v.zarr w.xyz": ["`w.xyz`: the suffix must be one of .npy"],
    "decompress v.zarr w.raw": ["`w.raw` must end in `_8x8x8_float32.raw`", "name it so"],
    "decompress v.zarr v.npy": ["`v.npy` is an existing file", "name a new path", "`--overwrite`"],
    "decompress v.zarr s3://bucket/w.npy": ["only containers are written elsewhere", "name a path"],
    "info /": ["`/` is no Zarr v3 array", "lacks `zarr.json`"],
    "verify v.zarr v.zarr": ["`ORIGINAL` (=v.zarr) is a container itself", "decompress it first"],
    "evaluate v.zarr v.zarr": ["`ORIGINAL` (=v.zarr) is a container itself", "decompress it first"],
    "verify empty v.zarr": ["`empty` is a directory but no readable Zarr array", "name a file"],
    "report v.zarr v.npy": [
        "`ORIGINAL` (=v.zarr) is a container",
        "`CONTAINER` (=v.npy)",
        "volume comes first",
    ],
    "report v.npy v.zarr --against png": ["`--against` (=png)", "'png' is no codec known", "sperr, sz3, zfp"],
    "report v.npy v.zarr text.txt": ["`text.txt` is an existing file", "name a new path", "`--overwrite`"],
    "report v.npy v.zarr --at z=1": ["`--at` (=z=1)", "an axis of space", "an axis of time or channels"],
    "report v.npy v.zarr nowhere/v.html": ["directory of `nowhere/v.html` does not exist", "make it first"],
    "compare v.zarr": ["`IN` (=v.zarr) is a container", "decompress it first"],
    "compare v.npy --psnr 5": ["`--psnr` (=5.0)", "must lie between 10 and 90 dB"],
    "compare v.npy --plot text.txt": ["`text.txt` is an existing file", "`--overwrite`"],
    "compress v.zarr --dry-run": ["`IN` (=v.zarr) is a container", "decompress it first"],
    "compress v.npy --dry-run --part 0/2": ["`--dry-run` tells of a whole run", "`--part`"],
    "train nvc-1 v.npy --output model --seed -1": ["`--seed` (=-1)", "must be an integer", "such as 0"],
    "train nvc-1 v.npy --output empty": ["`--output` (=empty) exists already", "name a new directory"],
    "train nowhere v.npy --output model": ["`CONFIG` (=nowhere)", "neither a file nor one of nvc-1"],
    "train v.npy v.npy --output model": ["`CONFIG` (=v.npy) is not JSON"],
    "fetch nope": ["`DATASET` (='nope')", "`nvc fetch --list` lists them"],
    "demo --model nope": ["`--model` (='nope')", "neither a shipped model", "nvc-1"],
    "demo --output text.txt": ["`text.txt` is an existing file", "`--overwrite`"],
}
"""Commands, and what is in their messages."""


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_say_what_is_wrong(command: str, here: Path, capsys: pytest.CaptureFixture) -> None:
    before = sorted(here.iterdir())
    assert main(command.split()) == 1
    message = capsys.readouterr().err.splitlines()[-1]  # below the progress of a training
    assert message.startswith(f"nvc {command.split()[0]}: ")
    for part in COMMANDS[command]:
        assert part in message
    for part in ("Traceback", "slice(", "EOCD", "[]"):
        assert part not in message
    assert sorted(here.iterdir()) == before


WRONG_TEXTS: dict[str, list[str]] = {
    "compress v.npy": ["required: OUT;", "`nvc compress --help`"],
    "compress -v.npy w.zarr": ["unrecognized arguments: -v.npy", "./-NAME for a file whose name begins"],
    "compress v.npy w.zarr --colour red": ["unrecognized arguments: --colour", "--help` explains"],
    "compress v.npy w.zarr --max-error 1 --max-error 2": ["--max-error: given twice, as 1 and 2", "once"],
    "compress v.npy w.zarr --chunk 8,8,8 --chunk 8,8,16": ["--chunk: given twice", "give it once"],
    "compress v.npy w.zarr --max-error 1 --psnr 50": ["--psnr: not allowed with argument --max-error"],
    **{
        f"compress v.npy w.zarr {option} {text}": [f"{option}: '{text}' must be a number", "such as 0.5"]
        for option in (
            "--max-error",
            "--relative-error",
            "--psnr",
            "--step",
            "--missing-value",
            "--exact-value",
        )
        for text in ("abc", "1,5", "0x10")
    },
    **{
        f"compress v.npy w.zarr {option} {text}": [
            f"{option}: '{text}' must be a number for each axis",
            "as 64",
        ]
        for option in ("--chunk", "--shard", "--shape")
        for text in ("8", "8,8,8,8,8,8", "8,8,x", "8;8;8", "8.0,8,8")
    },
    **{
        f"compress v.npy w.zarr --part {text}": [f"--part: '{text}' must be I/N", "such as 0/2"]
        for text in ("0", "2/2", "0/0", "-1/2", "a/b", "0/2/3", "0/1e9")
    },
    **{
        f"compress v.npy w.zarr --value-limits {text}": [f"--value-limits: '{text}' must be min,max in order"]
        for text in ("1", "1,2,3", "5,1", "a,b", "nan,nan")
    },
    **{
        f"decompress v.zarr w.npy --region {text}": [f"--region: '{text}' must be z0:z1", "such as 0:16"]
        for text in ("1", "0:1", "::,:,:", "a:b,:,:", "0:1:2,:,:", "...", "[0:1,0:1,0:1]")
    },
    "decompress v.zarr w.npy --mode mix": ["--mode: invalid choice: 'mix'", "blend"],
    "train nvc-1 v.npy --output model --seed x": ["--seed: invalid int value: 'x'", "--help` explains"],
    "info v.zarr v.zarr": ["unrecognized arguments: v.zarr", "--help` explains"],
    "": ["required: COMMAND", "`nvc --help`"],
}
"""Command lines that are refused before a command begins, and what is in their messages."""


@pytest.mark.parametrize("command", WRONG_TEXTS)
def test_wrong_texts_are_refused(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    assert caught.value.code == 2
    message = capsys.readouterr().err
    for part in WRONG_TEXTS[command]:
        assert part in message
    assert "further" not in message


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
                for name in ("max_error", "relative_error", "pointwise_error", "psnr", "step")
            ),
            ("max_error", True, "must be a number, not bool"),
            ("max_error", [0.1], "must be a number, not list"),
            ("lossless", "yes", "must be True or False, not str"),
            ("chunks", "8,8,8", "must be integers"),
            ("chunks", 8, "must be integers"),
            ("chunks", (8.0, 8, 8), "must be integers"),
            ("shards", (None, 8, 8), "must be integers"),
            ("part", "0/2", "must be integers, such as (0, 2)"),
            ("part", (True, 2), "must be integers"),
            ("resume", "no", "must be True or False, not str"),
            ("overwrite", "no", "must be True or False, not str"),
            ("on_progress", "bar", "must be a function, or None"),
            *(
                (name, value, "must be a sequence of numbers, such as [0, -9999]")
                for name in ("missing_values", "exact_values", "value_limits")
                for value in ("12", 5, ["a"], [[1, 2]], {})
            ),
            ("model", 5, "must be a path"),
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
    **{
        f"a source of {value!r:.30}": (
            lambda value=value: nvc_jax.compress(value, "w.zarr"),
            TypeError,
            ["`volume` (=", "must be an array, a path, a URL, a TensorStore spec or a RawFile"],
        )
        for value in (None, 5, {1}, print, b"v.npy")
    },
    **{
        f"{name} {value!r:.10}": (
            lambda call=call, value=value: call(value),
            TypeError,
            [f"`{argument}` (=", "must be a path, a URL or a TensorStore spec, not"],
        )
        for name, argument, call in (
            ("compress to", "destination", lambda value: nvc_jax.compress(VOLUME, value)),
            ("decompress from", "container", lambda value: nvc_jax.decompress(value, "w.npy")),
            ("decompress to", "destination", lambda value: nvc_jax.decompress("v.zarr", value)),
            ("open", "container", nvc_jax.open),
            ("info", "container", nvc_jax.info),
            ("preview", "container", nvc_jax.preview),
            ("verify", "container", lambda value: nvc_jax.verify(None, value)),
            ("load_codec", "model", nvc_jax.load_codec),
            ("train", "config", lambda value: nvc_jax.train(value, [VOLUME])),
        )
        for value in (None, 5, VOLUME)
    },
    **{
        f"a raw file of shape {shape!r}": (
            lambda shape=shape: nvc_jax.compress(nvc_jax.RawFile("bytes.f32", shape), "w.zarr"),
            TypeError,
            ["`shape` (=", "must be two to five integers above 0", "such as (64, 64, 64)"],
        )
        for shape in (None, "8,8,8", (8.0, 8, 8), (-8, 8, 8))
    },
    "a region of numbers": (
        lambda: nvc_jax.decompress("v.zarr", "w.npy", region=(0, 0, 0)),
        ValueError,
        ["`region` (=(0, 0, 0))", "must be 3 slices", "such as np.s_[:, :, 4:]"],
    ),
    "a region of texts": (
        lambda: nvc_jax.decompress("v.zarr", "w.npy", region=(slice("a"),) * 3),
        ValueError,
        ["`region` (=", "of integers"],
    ),
    "one volume to train on": (
        lambda: nvc_jax.train("nvc-1", VOLUME),
        TypeError,
        ["`volumes`", "such as a list of one"],
    ),
    "a negative seed": (
        lambda: nvc_jax.train("nvc-1", [VOLUME], seed=-1),
        ValueError,
        ["`seed` (=-1)", "not negative", "such as 0"],
    ),
    "a codec by its name": (
        lambda: nvc_jax.encode_volume("nvc-1", VOLUME, step=0.1),
        TypeError,
        ["`codec` (='nvc-1') must be a Codec", "`load_codec`"],
    ),
    "other results to decode": (
        lambda: nvc_jax.decode_volume(nvc_jax.load_codec("nvc-1"), VOLUME),
        ValueError,
        ["`encoded` is a ndarray", "pass what `encode_volume` returned"],
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
