import argparse
from collections.abc import Callable
from typing import Any

import pytest

from nvc_jax.cli import arguments
from nvc_jax.cli.main import make_parser
from nvc_jax.io.raw import RawFile
from nvc_jax.io.selection import Selection


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (arguments.shape, "16,32,48", (16, 32, 48)),
        (arguments.region, "2:5,:,10:", (slice(2, 5), slice(None), slice(10, None))),
        (arguments.region, ":7,1:2,3:4", (slice(None, 7), slice(1, 2), slice(3, 4))),
        (arguments.limits, "0,", (0.0, None)),
        (arguments.limits, ",1e3", (None, 1000.0)),
        (arguments.limits, "-5,5.5", (-5.0, 5.5)),
        (arguments.number, "1e3", 1000.0),
        (arguments.number, "18446744073709551615", 2**64 - 1),
        (arguments.number, "1" + 400 * "0", float("inf")),
        (arguments.location, "v.zarr", "v.zarr"),
        (arguments.location, "s3://bucket/v.zarr", "s3://bucket/v.zarr"),
        (arguments.location, ' {"driver": "memory"}', {"driver": "memory"}),
    ],
)
def test_texts_become_values(read: Callable[[str], Any], text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (arguments.shape, "16"),
        (arguments.shape, "1,2,3,4,5,6"),
        (arguments.shape, "16,32,-1"),
        (arguments.shape, "16,32,x"),
        (arguments.limits, "1"),
        (arguments.limits, "1,2,3"),
        (arguments.limits, "a,1"),
        (arguments.region, "1:2"),
        (arguments.region, "1:2,3:4,5"),
        (arguments.region, "1:2,3:4,5:6:2"),
        (arguments.region, "-1:2,3:4,5:6"),
    ],
)
def test_other_texts_are_refused(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' must be"):
        read(text)


@pytest.mark.parametrize("number", ["-5,5", "-1e10", "-.5", "-inf", "-9999"])
def test_negative_numbers_are_values_of_options(number: str) -> None:
    given = ["compress", "a", "b", "--missing-value", number, "--lossless"]
    assert arguments.join_negative_numbers(given) == [*given[:3], f"--missing-value={number}", "--lossless"]
    for others in (["a", number], ["--json", "--lossless"], ["--step=1", number], ["-h", number]):
        assert arguments.join_negative_numbers(others) == others


def test_damaged_json_is_named() -> None:
    with pytest.raises(ValueError, match="is no JSON of a TensorStore spec"):
        arguments.location('{"driver": ')


def test_options_of_several_commands_are_the_same() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command")
    command = arguments.add_parser(commands, "look", print, "Look at a container.")
    arguments.add_mode(command)
    options = parser.parse_args(["look"])
    assert (options.run, options.mode) == (print, "blend")
    assert parser.parse_args(["look", "--mode", "crop"]).mode == "crop"


def test_common_options_stand_before_or_after_a_command() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    arguments.add_common(parser)
    commands = parser.add_subparsers(dest="command")
    command = arguments.add_parser(commands, "look", print, "Look.", ("look --json", "look -q"))
    arguments.add_common(command, default=argparse.SUPPRESS)
    for line, given in (
        ("look", (False, False)),
        ("--json look", (True, False)),
        ("look --json", (True, False)),
        ("--quiet look --json", (True, True)),
        ("look -q", (False, True)),
    ):
        options = parser.parse_args(line.split())
        assert (options.json, options.quiet) == given
    assert command.format_help().endswith("examples:\n  look --json\n  look -q\n")


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ([], {}),
        (["--relative-error", "0"], {"relative_error": 0.0}),
        (["--psnr", "45"], {"psnr": 45.0}),
        (["--lossless"], {"lossless": True}),
    ],
)
def test_a_target_of_0_is_one(words: list[str], target: dict[str, Any]) -> None:
    options = make_parser().parse_args(["compress", "v.npy", "v.zarr", *words])
    assert arguments.quality_targets(options) == target


def test_a_layout_makes_a_raw_file_of_a_path() -> None:
    parser = argparse.ArgumentParser()
    arguments.add_raw_layout(parser)
    assert arguments.volume("v.dat", parser.parse_args([])) == "v.dat"
    options = parser.parse_args("--shape 2,3,4 --dtype uint16 --order F --byte-order big".split())
    assert arguments.volume("v.dat", options) == RawFile("v.dat", (2, 3, 4), "uint16", "F", "big")
    assert arguments.volume("v.f32", parser.parse_args(["--shape", "2,3,4"])) == RawFile("v.f32", (2, 3, 4))
    with pytest.raises(ValueError, match="`--shape` is for raw files"):
        arguments.volume('{"driver": "memory"}', options)
    arguments.add_selection(parser)
    selected = arguments.volume("v.f32", parser.parse_args(["--shape", "2,3,4", "--select", "0=1:2"]))
    assert selected == Selection(RawFile("v.f32", (2, 3, 4)), "0=1:2")
    for stated in ("--dtype int8", "--order C", "--byte-order big"):
        with pytest.raises(
            ValueError, match=f"`{stated.split()[0]}`: the layout of a raw file needs its shape"
        ):
            arguments.volume("v.dat", parser.parse_args(stated.split()))
