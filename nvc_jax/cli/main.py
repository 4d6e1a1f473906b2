"""The program ``nvc``: its commands put together, and their errors turned into exit statuses."""

import argparse
import gc
import sys
from collections.abc import Sequence

from nvc_jax.cli import (
    compare,
    completion,
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
    view,
)
from nvc_jax.cli.arguments import add_common, join_negative_numbers
from nvc_jax.cli.failures import describe_failure, printing_warnings
from nvc_jax.cli.interruption import Interrupted, describe, exit_status, obeying_signals
from nvc_jax.cli.output import replace_unprintable
from nvc_jax.cli.wording import JsonParser, Parser, in_options
from nvc_jax.core.program_cache import use_program_cache
from nvc_jax.core.unfinished import take_completed

_COMMANDS = (
    compress,
    decompress,
    info,
    view,
    evaluate,
    verify,
    report,
    compare,
    train,
    models,
    fetch,
    demo,
    completion,
)
"""Modules of the commands, in the order in which ``--help`` lists them."""
_EPILOG = """examples:
  nvc compress scan.nii.gz scan.zarr
  nvc compress flow.h5::/u flow.zarr --max-error 0.01
  nvc verify scan.nii.gz scan.zarr
  nvc decompress scan.zarr again.nii.gz

`nvc COMMAND --help` explains a command and shows examples of it."""


_NEW_OBJECTS = 10_000
"""New objects after which the program looks for garbage. Python looks after 700, which takes an eighth of the
time that importing JAX takes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``nvc`` with ``arguments`` (those of the process if None); returns the exit status."""
    command = ""
    if arguments is None:  # the process is the program's own
        gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    given = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in given
    take_completed()  # of earlier calls in this process
    replace_unprintable()
    try:
        options = make_parser(json_errors=as_json).parse_args(join_negative_numbers(given))
        command = options.command
        with obeying_signals(command, as_json) as received, printing_warnings(command, as_json):
            return _run(options, received)
    except KeyboardInterrupt as error:
        status = exit_status(error)
        print(describe(command, _kept(error), status, as_json), file=sys.stderr)
        return status


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
        print(describe_failure(options.command, reason, notes, 1, options.json), file=sys.stderr)
        return 1
    return 0


def _kept(error: KeyboardInterrupt) -> list[str]:
    """List what an interrupted run keeps or has completed."""
    return [*take_completed(), *getattr(error, "__notes__", ())]


def make_parser(*, json_errors: bool = False) -> argparse.ArgumentParser:
    """Make the parser of all commands.

    Args:
        json_errors: whether wrong usage is printed as a JSON object.
    """
    make = JsonParser if json_errors else Parser
    parser = make(
        prog="nvc",
        description="Compress 3-D scientific volumes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    add_common(parser)
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=make)
    for module in _COMMANDS:
        module.add_command(commands)
    for command in commands.choices.values():
        add_common(command, default=argparse.SUPPRESS)
    return parser
