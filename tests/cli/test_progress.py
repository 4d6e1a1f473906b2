import os
import pty
import subprocess
import sys
import time

import pytest

from nvc_jax.cli.progress import byte_progress_bar, training_progress_bar
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.training.progress import TrainingProgress

CHUNK, DTYPE = (16, 32, 32), "float32"


def report(done_bytes: int, stored_bytes: int = 0) -> ByteProgress:
    return ByteProgress(done_bytes, 2_000_000, stored_bytes, CHUNK, DTYPE)


def test_without_a_terminal_there_is_a_line_every_few_seconds(capsys: pytest.CaptureFixture) -> None:
    with byte_progress_bar("compress", line_seconds=0.3) as meter:
        meter(report(0))
        while not (first := capsys.readouterr().err):
            time.sleep(0.05)
        meter(report(500_000, 50_000))
        while not (second := capsys.readouterr().err):
            time.sleep(0.05)
    assert first.startswith("nvc compress: nothing is done yet, after ")
    assert second.startswith("nvc compress: 25 % of 2 MB, ")
    assert ", ratio 10.0, about " in second
    assert capsys.readouterr().out == ""
    assert meter.latest == report(500_000, 50_000)


def test_short_and_quiet_runs_are_silent(capsys: pytest.CaptureFixture) -> None:
    with byte_progress_bar("compress") as meter:
        meter(report(2_000_000, 10))
    with byte_progress_bar("compress", quiet=True, line_seconds=0) as meter:
        meter(report(0))
        time.sleep(0.3)
    assert capsys.readouterr() == ("", "")
    assert 0.3 <= meter.seconds < meter.seconds + 0.1


SLOW_PROGRAM = """
import sys
import time
import jax.monitoring
from nvc_jax.cli.progress import byte_progress_bar
from nvc_jax.compression.progress import ByteProgress
with byte_progress_bar("compress") as meter:
    meter(ByteProgress(0, 100, 0, (16, 32, 32), "float32"))
    jax.monitoring.record_event_duration_secs("/jax/core/compile/jaxpr_to_mlir_module_duration", 0.1)
    if sys.argv[1] == "loaded":
        jax.monitoring.record_event("/jax/compilation_cache/cache_hits")
    time.sleep(1.2)
    jax.monitoring.record_event_duration_secs("/jax/core/compile/backend_compile_duration", 1.2)
"""


def run_on_terminal(code: str, *arguments: str) -> str:
    """Run Python code whose standard error is a terminal; returns what it wrote there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", code, *arguments]
    environment = {"PYTHONPATH": ":".join(sys.path), "TERM": "xterm", "COLUMNS": "150"}
    with subprocess.Popen(command, stderr=theirs, env=environment):
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 4096):
                parts.append(part)
        except OSError:  # the terminal's other end is closed
            pass
        finally:
            os.close(ours)
    return b"".join(parts).decode()


@pytest.mark.parametrize("origin", ["compiled", "loaded"])
def test_a_terminal_says_what_is_compiled_and_not_what_is_loaded(origin: str) -> None:
    shown = run_on_terminal(SLOW_PROGRAM, origin)
    assert "0/100 bytes" in shown
    assert ("compiling for 16×32×32 float32, once" in shown) == (origin == "compiled")


def test_training_is_shown_on_standard_error(capsys: pytest.CaptureFixture) -> None:
    with training_progress_bar() as on_progress:
        on_progress(TrainingProgress(3, 10, 0.5, None, 1234.5))
        on_progress(TrainingProgress(10, 10, 0.25, 0.125, 2345.6))
    out, err = capsys.readouterr()
    assert out == ""
    for text in ("10/10", "loss 0.250000", "validation 0.125000", "2,346 blocks/s"):
        assert text in err
    with training_progress_bar(quiet=True) as on_progress:
        on_progress(TrainingProgress(3, 10, 0.5, None, 1234.5))
    assert capsys.readouterr() == ("", "")
