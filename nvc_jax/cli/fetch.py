"""The command ``nvc fetch``."""

import argparse

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_table


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Download a public volume of the Open SciVis Datasets."
    command = arguments.add_parser(commands, "fetch", _run, summary)
    command.add_argument("dataset", metavar="DATASET", nargs="?", help="its name; without one, list all")
    command.add_argument("--directory", default=".", help="directory of the .raw file (here)")
    arguments.add_overwrite(command)


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.io.open_scivis import fetch_dataset, load_catalog

    if options.dataset is not None:
        print(fetch_dataset(options.dataset, options.directory, overwrite=options.overwrite))
        return
    rows = [
        (name, " × ".join(map(str, entry["size_xyz"])), entry["dtype"], f"{entry['bytes'] / 1e6:,.1f}")
        for name, entry in load_catalog().items()
    ]
    print_table(("data set", "size x × y × z", "dtype", "MB"), rows)
