"""The command ``nvc verify``."""

import argparse

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_values


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Decode every chunk of a container; compare it with the original."
    command = arguments.add_parser(commands, "verify", _run, summary)
    command.add_argument("original", metavar="ORIGINAL", nargs="?", help=arguments.VOLUME_HELP)
    command.add_argument("container", metavar="CONTAINER", help=arguments.CONTAINER_HELP)
    arguments.add_selection(command)
    arguments.add_raw_layout(command)
    arguments.add_json(command)


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.evaluation.containers import verify

    original = None if options.original is None else arguments.volume(options.original, options)
    print_values(verify(original, arguments.location(options.container)), options.json)
