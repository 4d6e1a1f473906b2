"""Programs that are told to end, and the seconds that they take for it."""

import subprocess
import time
from pathlib import Path

_LOOK_SECONDS = 0.005
_MOST_SECONDS = 60
_MISSED_SECONDS = 0.1
"""Seconds between two looks, which follow each other, beyond which the machine did not run this process."""


def _waited_seconds(process: subprocess.Popen[str]) -> dict[str, float]:
    """Seconds that each thread of a program has waited for a core; empty where the system does not say."""
    waited = {}
    for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
        try:
            waited[path.parent.name] = int(path.read_text().split()[1]) / 1e9
        except (OSError, IndexError):  # the thread has ended
            continue
    return waited


def seconds_to_end(process: subprocess.Popen[str], number: int) -> tuple[float, str]:
    """Send a signal to a program, and wait until it has ended.

    Other programs on the machine make no difference: what counts is the time in which this process and all
    threads of the program that had something to do were run.

    Args:
        process: program that writes little to standard error.
        number: of the signal.

    Returns:
        Seconds from the signal to the end, and what was written to standard error.
    """
    before, last, seconds = _waited_seconds(process), time.monotonic(), 0.0
    process.send_signal(number)
    while process.poll() is None:
        time.sleep(_LOOK_SECONDS)
        now, waited = time.monotonic(), _waited_seconds(process)
        seconds += min(now - last, _MISSED_SECONDS)
        seconds -= max((waited[thread] - before.get(thread, 0.0) for thread in waited), default=0.0)
        before, last = waited, now
        if seconds > _MOST_SECONDS:
            process.kill()
    _, message = process.communicate()
    return seconds, message
