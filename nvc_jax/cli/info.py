"""The command ``nvc info``."""

import argparse

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_values


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    command = arguments.add_parser(
        commands,
        "info",
        _run,
        "Print a container's metadata and size, or describe this system.",
        ("nvc info volume.zarr", "nvc info s3://bucket/volume.zarr --json", "nvc info --system"),
    )
    subject = command.add_mutually_exclusive_group(required=True)
    subject.add_argument("input", metavar="IN", nargs="?", help=arguments.CONTAINER_HELP)
    subject.add_argument(
        "--system", action="store_true", help="print versions, devices and the state of the native kernels"
    )


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.evaluation.containers import info
    from nvc_jax.evaluation.system import system

    values = system() if options.system else info(arguments.location(options.input))
    print_values(values, options.json)
