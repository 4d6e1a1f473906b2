"""Programs that are told to end, and the seconds that they take for it."""

import subprocess
import time
from pathlib import Path

_LOOK_SECONDS = 0.005
_MOST_SECONDS = 60
_MISSED_SECONDS = 0.1
"""Seconds between two looks, which follow each other, beyond which the machine did not run this process."""


def _waited_seconds(process: subprocess.Popen[str]) -> float:
    """Seconds that the main thread of a program has waited for a core; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def seconds_to_end(process: subprocess.Popen[str], number: int) -> tuple[float, str]:
    """Send a signal to a program, and wait until it has ended.

    Other programs on the machine make no difference: what counts is the time in which both this process and
    the main thread of the program could run.

    Args:
        process: program that writes little to standard error.
        number: of the signal.

    Returns:
        Seconds from the signal to the end, and what was written to standard error.
    """
    before, last, passed = _waited_seconds(process), time.monotonic(), 0.0
    waited = before
    process.send_signal(number)
    while process.poll() is None:
        time.sleep(_LOOK_SECONDS)
        waited = max(waited, _waited_seconds(process))
        now = time.monotonic()
        passed += min(now - last, _MISSED_SECONDS)
        last = now
        if passed > _MOST_SECONDS:
            process.kill()
    _, message = process.communicate()
    return passed - (waited - before), message
