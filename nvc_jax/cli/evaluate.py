"""The command ``nvc evaluate``."""

import argparse

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_values

_EXAMPLES = ("nvc evaluate volume.npy volume.zarr", "nvc evaluate scan.nii.gz scan.zarr --json")


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Measure a container's size and error against the original."
    command = arguments.add_parser(commands, "evaluate", _run, summary, _EXAMPLES)
    command.add_argument("original", metavar="ORIGINAL", help=arguments.VOLUME_HELP)
    command.add_argument("container", metavar="CONTAINER", help=arguments.CONTAINER_HELP)
    arguments.add_selection(command)
    arguments.add_raw_layout(command)
    arguments.add_mode(command)


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.evaluation.containers import evaluate

    original = arguments.volume(options.original, options)
    container = arguments.location(options.container)
    print_values(evaluate(original, container, mode=options.mode), options.json)
