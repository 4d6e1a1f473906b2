import json
import math

import pytest

from nvc_jax.cli.output import byte_progress_bar, print_table, print_values, training_progress_bar
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.training.progress import TrainingProgress

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
    print_values(VALUES, as_json=True)
    printed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert printed == VALUES | {"psnr_db": None, "mse": None}


def test_tables_are_wide_enough_for_a_sha256(capsys: pytest.CaptureFixture) -> None:
    print_table(("model", "SHA-256"), [("nvc-1", "ab" * 32), ("zero-margin", "1")])
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "SHA-256"]
    assert [row.split() for row in rows] == [["nvc-1", "ab" * 32], ["zero-margin", "1"]]
    assert rows[0].startswith(" nvc-1 ")
    assert rows[0].rstrip().index("abab") < rows[1].index("1")


def test_bytes_are_shown_on_terminals_only(capsys: pytest.CaptureFixture) -> None:
    with byte_progress_bar("compress") as on_progress:
        on_progress(ByteProgress(100, 200, 0))
        on_progress(ByteProgress(200, 200, 10))
    assert capsys.readouterr() == ("", "")


def test_training_is_shown_on_standard_error(capsys: pytest.CaptureFixture) -> None:
    with training_progress_bar() as on_progress:
        on_progress(TrainingProgress(3, 10, 0.5, None, 1234.5))
        on_progress(TrainingProgress(10, 10, 0.25, 0.125, 2345.6))
    out, err = capsys.readouterr()
    assert out == ""
    for text in ("10/10", "loss 0.250000", "validation 0.125000", "2,346 blocks/s"):
        assert text in err


def test_names_and_values_are_apart(capsys: pytest.CaptureFixture) -> None:
    print_values({"chunks": 3, "measured_pointwise_error": 0.5}, as_json=False)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["chunks", "3"],
        ["measured_pointwise_error", "0.5"],
    ]
