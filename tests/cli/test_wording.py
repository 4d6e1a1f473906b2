import argparse
import json

import pytest

from nvc_jax.cli.wording import JsonParser, Parser, in_options

OPTIONS = argparse.Namespace(max_error=None, chunk=None, missing_value=[], input="v.npy", overwrite=False)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("`max_error` (=-1.0) must be", "`--max-error` (=-1.0) must be"),
        ("`chunks` (=8,8) or `missing_values`", "`--chunk` (=8,8) or `--missing-value`"),
        ("`source` (=v.npy) is", "`IN` (=v.npy) is"),
        ("pass `overwrite` (`--overwrite`)", "pass `--overwrite`"),
        ("`psnr`, `volume[0]` and `v.npy` stay", "`psnr`, `volume[0]` and `v.npy` stay"),
    ],
)
def test_arguments_are_named_by_their_options(message: str, expected: str) -> None:
    assert in_options(message, OPTIONS) == expected


def test_an_option_is_given_once(capsys: pytest.CaptureFixture) -> None:
    parser = Parser(prog="p")
    parser.add_argument("--a", type=int)
    parser.add_argument("--b", action="append")
    for _ in range(2):  # each call counts by itself
        options = parser.parse_args(["--a", "1", "--b", "x", "--b", "y"])
        assert (options.a, options.b) == (1, ["x", "y"])
    with pytest.raises(SystemExit):
        parser.parse_args(["--a", "1", "--a", "2"])
    assert "--a: given twice, as 1 and 2: give it once; `p --help` explains" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["comprss"], "; did you mean compress?;"),
        (["compress", "-psnr", "50"], "; options have two dashes: --psnr;"),
        (["compress", "-v.npy"], "; write ./-NAME for a file whose name begins with a minus;"),
        (["compress", "v.npy", "--maxerror", "3"], "; did you mean --max-error?;"),
        (["compress", "v.npy", "--colour=3"], "unrecognized arguments: --colour=3;"),
        (["compress"], "required: IN;"),
    ],
)
def test_wrong_words_come_with_advice(words: list[str], advice: str, capsys: pytest.CaptureFixture) -> None:
    parser = Parser(prog="p")
    command = parser.add_subparsers(dest="command").add_parser("compress")
    command.add_argument("input", metavar="IN")
    command.add_argument("--max-error")
    with pytest.raises(SystemExit) as info:
        parser.parse_args(words)
    assert info.value.code == 2
    message = capsys.readouterr().err
    assert advice in message
    assert message.count("--help` explains the arguments") == 1


def test_errors_may_be_json(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        JsonParser(prog="nvc").parse_args(["explode"])
    failure = json.loads(capsys.readouterr().err)
    assert (failure["command"], failure["status"], failure["notes"]) == ("", 2, [])
    assert failure["error"].startswith("unrecognized arguments: explode")
