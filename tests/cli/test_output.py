import argparse
import json
import math
import subprocess
import sys

import pytest

from nvc_jax.cli.output import print_json, print_summary, print_table, print_values

VALUES = {"model": "nvc-1", "psnr_db": math.inf, "mse": math.nan, "ratio": 12.3456789, "chunks": 3}


def test_values_are_lines(capsys: pytest.CaptureFixture) -> None:
    print_values(VALUES, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "model           nvc-1",
        "psnr_db         inf",
        "mse             nan",
        "ratio           12.3457",
        "chunks          3",
    ]


def test_json_is_strict(capsys: pytest.CaptureFixture) -> None:
    print_json(VALUES)
    printed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert printed == VALUES | {"psnr_db": None, "mse": None}
    print_json({"figures": {"nvc-1": VALUES}, "rows": [VALUES, (math.nan, 1)]})
    nested = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert nested == {"figures": {"nvc-1": printed}, "rows": [printed, [None, 1]]}


def test_tables_are_wide_enough_for_a_sha256(capsys: pytest.CaptureFixture) -> None:
    print_table(("model", "SHA-256"), [("nvc-1", "ab" * 32), ("zero-margin", "1")])
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "SHA-256"]
    assert [row.split() for row in rows] == [["nvc-1", "ab" * 32], ["zero-margin", "1"]]
    assert rows[0].startswith(" nvc-1 ")
    assert rows[0].rstrip().index("abab") < rows[1].index("1")


def test_any_text_is_printed_in_any_encoding() -> None:
    code = "from nvc_jax.cli.output import *; replace_unprintable(); print('8×8 − 1', file=sys.stderr)"
    command = [sys.executable, "-c", f"import sys; {code}; print('8×8')"]
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "ascii"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("8?8\n", "8?8 ? 1\n")


def test_names_and_values_are_apart(capsys: pytest.CaptureFixture) -> None:
    print_values({"chunks": 3, "measured_pointwise_error": 0.5}, as_json=False)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["chunks", "3"],
        ["measured_pointwise_error", "0.5"],
    ]


@pytest.mark.parametrize(
    ("json_", "quiet", "expected"),
    [(False, False, "done\n"), (True, True, '{"ratio": 2.5}\n'), (False, True, "")],
)
def test_a_summary_is_a_sentence_an_object_or_nothing(
    json_: bool, quiet: bool, expected: str, capsys: pytest.CaptureFixture
) -> None:
    print_summary("done", {"ratio": 2.5}, argparse.Namespace(json=json_, quiet=quiet))
    assert capsys.readouterr().out == expected
