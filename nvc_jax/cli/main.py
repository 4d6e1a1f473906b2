"""The program ``nvc``: its commands put together, and their errors turned into exit statuses."""

import argparse
import sys
from collections.abc import Sequence

from nvc_jax import __version__
from nvc_jax.cli import (
    compare,
    compress,
    decompress,
    demo,
    evaluate,
    fetch,
    info,
    models,
    report,
    train,
    verify,
)
from nvc_jax.cli.arguments import join_negative_numbers
from nvc_jax.cli.interruption import Interrupted, describe, exit_status, obeying_signals
from nvc_jax.cli.program_cache import use_program_cache
from nvc_jax.cli.wording import Parser, in_options
from nvc_jax.core.unfinished import take_completed

_COMMANDS = (compress, decompress, info, evaluate, verify, report, compare, train, models, fetch, demo)
"""Modules of the commands, in the order in which ``--help`` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``nvc`` with ``arguments`` (those of the process if None); returns the exit status."""
    command = ""
    take_completed()  # of earlier calls in this process
    try:
        given = sys.argv[1:] if arguments is None else arguments
        options = make_parser().parse_args(join_negative_numbers(given))
        command = options.command
        with obeying_signals(command) as received:
            return _run(options, received)
    except KeyboardInterrupt as error:
        print(describe(command, _kept(error)), file=sys.stderr)
        return exit_status(error)


def _run(options: argparse.Namespace, received: list[int]) -> int:
    """Run a command; returns the exit status. Errors after a signal was received are those of the signal."""
    try:
        use_program_cache()
        options.run(options)
    except (ValueError, TypeError, OSError, ImportError, RuntimeError, MemoryError) as error:
        notes = getattr(error, "__notes__", ())
        if received:
            interrupted = Interrupted(received[0])
            interrupted.__notes__ = list(notes)
            raise interrupted from error
        reason = str(error) or type(error).__name__
        if isinstance(error, MemoryError):
            reason = f"there is not enough memory: {reason}"
        reason = in_options(reason, options)
        print("; ".join([f"nvc {options.command}: {reason}", *notes]), file=sys.stderr)
        return 1
    return 0


def _kept(error: KeyboardInterrupt) -> list[str]:
    """List what an interrupted run keeps or has completed."""
    return [*take_completed(), *getattr(error, "__notes__", ())]


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = Parser(prog="nvc", description="Compress 3-D scientific volumes.")
    parser.add_argument("--version", action="version", version=f"nvc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add_command(commands)
    return parser
