import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from nvc_jax.cli import main

PROGRAM = [sys.executable, "-c", "import sys; from nvc_jax.cli import main; sys.exit(main())"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals, here: Path) -> None:
    program = [*PROGRAM, "view", "v.npy", "--no-browser"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+/) shows v\.npy; Ctrl-C ends it\n", line)
        assert found, line
        with urllib.request.urlopen(found[1]) as page:
            assert page.status == 200
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_errors_come_before_anything_is_shown(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["view", "nothing.zarr", "--no-browser"]) == 1
    assert "nvc view: " in (error := capsys.readouterr().err)
    assert "nothing.zarr" in error
    with pytest.raises(SystemExit):
        main(["view", "v.npy", "--port", "70000"])
    assert "70000" in capsys.readouterr().err
