"""The program ``nvc``: its commands put together, and their errors turned into exit statuses."""

import argparse
import sys
from collections.abc import Sequence

from nvc_jax import __version__
from nvc_jax.cli import compress, decompress, demo, evaluate, fetch, info, models, train, verify
from nvc_jax.cli.arguments import join_negative_numbers
from nvc_jax.cli.program_cache import use_program_cache

_COMMANDS = (compress, decompress, info, evaluate, verify, train, models, fetch, demo)
"""Modules of the commands, in the order in which ``--help`` lists them."""
_INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells give it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``nvc`` with ``arguments`` (those of the process if None); returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    options = make_parser().parse_args(join_negative_numbers(given))
    use_program_cache()
    try:
        options.run(options)
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"nvc {options.command}: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"nvc {options.command}: there is not enough memory: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = argparse.ArgumentParser(prog="nvc", description="Compress 3-D scientific volumes.")
    parser.add_argument("--version", action="version", version=f"nvc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add_command(commands)
    return parser
