import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ending import seconds_to_end

from nvc_jax.cli.interruption import Interrupted, exit_status, obeying_signals

DELETING = """
import time
from nvc_jax.cli.interruption import obeying_signals

class Slow:
    def __del__(self):
        print("working", flush=True)
        time.sleep(0.3)

with obeying_signals("compress"):
    Slow()
    time.sleep(100)
"""
PROGRAM = """
import hashlib
import sys
import time
from pathlib import Path
from nvc_jax.cli.interruption import obeying_signals
from nvc_jax.core.unfinished import unfinished

half, kept = Path("half"), Path("kept")
half.mkdir()
kept.touch()
with obeying_signals("compress"), unfinished(half), unfinished(kept, lambda: "half of it is kept"):
    while True:
        try:
            print("working", flush=True)
            if sys.argv[1] == "native":
                hashlib.pbkdf2_hmac("sha256", b"a call that takes hours", b"", 1 << 30)
            time.sleep(100)
        except KeyboardInterrupt:
            pass  # as some libraries do
"""


@pytest.mark.parametrize(
    ("work", "number", "status"), [("native", signal.SIGTERM, 143), ("deaf", signal.SIGINT, 130)]
)
def test_signals_are_obeyed_in_native_calls_and_where_python_swallows_them(
    work: str, number: int, status: int, tmp_path: Path
) -> None:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-c", PROGRAM, work]
    with subprocess.Popen(
        command, cwd=tmp_path, text=True, env={"PYTHONPATH": ":".join(sys.path)}, **streams
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        seconds, message = seconds_to_end(process, number)
    assert seconds < 2
    assert process.returncode == status
    assert message == "nvc compress: interrupted; half of it is kept\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


IMPORT = """
from nvc_jax.cli.interruption import obeying_signals
with obeying_signals("compress"):
    try:
        import slow_module
    except KeyboardInterrupt:
        raise ImportError("as native modules do") from None
"""


def test_an_import_ends_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text("import signal\nsignal.raise_signal(signal.SIGTERM)")
    path = ":".join([str(tmp_path), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", IMPORT], env={"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    message = "nvc compress: interrupted; nothing of the output is kept\n"
    assert (run.returncode, run.stderr) == (143, message)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_block(number: int) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted) as info, obeying_signals("compress"):
        signal.raise_signal(number)
    assert exit_status(info.value) == 128 + number
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def disturbed() -> None:
    with obeying_signals("compress"):
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)


def test_a_second_signal_does_not_disturb_what_the_first_began() -> None:
    with pytest.raises(Interrupted) as info:
        disturbed()
    assert info.value.__context__ is None


def test_signals_that_are_ignored_stay_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with obeying_signals("compress"):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_signals_are_obeyed_that_come_while_an_object_is_deleted() -> None:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", DELETING], text=True, env=environment, **streams) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        seconds, message = seconds_to_end(process, signal.SIGINT)
    assert seconds < 2
    assert "Interrupted" in message.splitlines()[-1]
    assert "ignored" not in message
