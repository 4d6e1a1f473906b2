import argparse

import pytest

from nvc_jax.cli.wording import Parser, in_options

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
