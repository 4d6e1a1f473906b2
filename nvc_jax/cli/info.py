"""The command ``nvc info``."""

import argparse

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_values
from nvc_jax.evaluation.containers import info


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    command = arguments.add_parser(commands, "info", _run, "Print a container's metadata and size.")
    command.add_argument("input", metavar="IN", help=arguments.CONTAINER_HELP)
    arguments.add_json(command)


def _run(options: argparse.Namespace) -> None:
    print_values(info(arguments.location(options.input)), options.json)
