"""Ctrl-C and SIGTERM: obeyed at any moment, with a word on what is kept.

A signal raises ``Interrupted`` in the main thread, whose ``with`` blocks then remove what is of no use. Where
Python ignores errors, as while an object is deleted, it is sent again. While
the main thread is in a native call, such as a compilation, nothing can be raised in it. So a second thread,
which the system wakes by a byte through a socket, waits for a moment and then ends the process itself. Work
that saves its state on SIGTERM gets more than a moment (``core.unfinished.granting``).
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from nvc_jax.cli.failures import describe_failure
from nvc_jax.core.unfinished import DEFAULT_GRACE_SECONDS, abandon, grace_seconds

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IMPORT_CODE = "<frozen importlib._bootstrap>"
"""File name of the functions that import modules."""
_AGAIN_SECONDS = 0.01
"""Seconds after which a signal is sent again whose error was ignored."""
_SHOW_CURSOR = b"\x1b[?25h"
"""Bytes that make a terminal show its cursor again, which a progress bar has hidden."""


class Interrupted(KeyboardInterrupt):
    """End of a run that a signal asks for.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_status(error: KeyboardInterrupt) -> int:
    """Exit status of a run that was interrupted, as shells give it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


def describe(command: str, notes: list[str], status: int, as_json: bool = False) -> str:
    """Say that a command was interrupted, and what is kept."""
    kept = notes or ["nothing of the output is kept"]
    return describe_failure(command, "interrupted", kept, status, as_json)


@contextlib.contextmanager
def obeying_signals(command: str, as_json: bool = False) -> Iterator[list[int]]:
    """Let signals end the block within two seconds, or else the process.

    A signal that the process was started to ignore, as ``nohup`` and shells do, stays ignored. Elsewhere than
    in the main thread nothing changes, because only there Python takes signals.

    Args:
        command: name of the command, for the message.
        as_json: whether the message is a JSON object.

    Yields:
        A list of the number of the signal that has come, if one has: an error that follows is its result.
    """
    first: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield first
        return
    ended = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if first or ended.is_set():  # a second one must not disturb what the first one has begun to remove
            return
        first.append(number)
        if _is_importing(frame):  # a library would print the error and raise another one
            _end(number, command, as_json)
        raise Interrupted(number)

    reading, writing = socket.socketpair()
    writing.setblocking(False)
    watcher = threading.Thread(target=_watch, args=(reading, command, as_json, ended), daemon=True)
    watcher.start()
    previous_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    handlers: dict[signal.Signals, Any] = {}
    try:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                handlers[number] = signal.signal(number, interrupt)
        with _sending_again(first):
            yield first
    finally:
        ended.set()
        for handled, handler in handlers.items():
            signal.signal(handled, handler)
        signal.set_wakeup_fd(previous_fd)
        writing.close()
        watcher.join()
        reading.close()


@contextlib.contextmanager
def _sending_again(first: list[int]) -> Iterator[None]:
    """Send a signal again whose error Python ignores, as it does while an object is deleted.

    Args:
        first: number of the signal that has come; empty again when it is sent again.
    """
    main_thread, report = threading.get_ident(), sys.unraisablehook
    timers: list[threading.Timer] = []

    def send_again(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, Interrupted):
            report(unraisable)
            return
        first.clear()
        timers.append(
            threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, (main_thread, unraisable.exc_value.number))
        )
        timers[-1].start()

    sys.unraisablehook = send_again
    try:
        yield
    finally:
        sys.unraisablehook = report
        for timer in timers:
            timer.cancel()
            timer.join()


def _is_importing(frame: FrameType | None) -> bool:
    """Tell whether a module is being imported."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_CODE:
            return True
        frame = frame.f_back
    return False


def _watch(reading: socket.socket, command: str, as_json: bool, ended: threading.Event) -> None:
    """Wait for a signal, and end the process if the main thread does not do so."""
    while numbers := reading.recv(1):
        if numbers[0] in _SIGNALS:
            is_request = numbers[0] == signal.SIGTERM
            if not ended.wait(grace_seconds() if is_request else DEFAULT_GRACE_SECONDS):
                _end(numbers[0], command, as_json)
            return


def _end(number: int, command: str, as_json: bool) -> None:
    """Remove what is of no use, say what is kept, and end the process without unwinding it."""
    message = f"{describe(command, abandon(), 128 + number, as_json)}\n".encode()
    with contextlib.suppress(OSError):
        if sys.stderr.isatty():
            message = _SHOW_CURSOR + b"\n" + message
        os.write(2, message)
    os._exit(128 + number)
