import json
import warnings

import pytest

from nvc_jax.cli.failures import describe_failure, printing_warnings


def test_a_failure_is_a_line_or_an_object() -> None:
    assert describe_failure("compress", "no such file", ["nothing is kept"], 1) == (
        "nvc compress: no such file; nothing is kept"
    )
    assert describe_failure("", "interrupted", [], 130) == "nvc: interrupted"
    assert json.loads(describe_failure("info", "no such file", [], 1, as_json=True)) == {
        "command": "info",
        "status": 1,
        "error": "no such file",
        "notes": [],
    }


@pytest.mark.filterwarnings("default")
def test_warnings_are_lines_of_the_program(capsys: pytest.CaptureFixture) -> None:
    with printing_warnings("compress", as_json=False):
        warnings.warn("a slice is missing", stacklevel=1)
    assert capsys.readouterr().err == "nvc compress: warning: a slice is missing\n"
    with printing_warnings("compress", as_json=True):
        warnings.warn("another slice is missing", stacklevel=1)
    printed = json.loads(capsys.readouterr().err)
    assert printed == {"command": "compress", "warning": "another slice is missing"}
