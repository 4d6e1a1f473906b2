"""The command ``nvc fetch``."""

import argparse
import shlex
import sys
from pathlib import Path

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_json, print_table
from nvc_jax.cli.progress import byte_progress_bar
from nvc_jax.cli.quantities import format_bytes, format_shape

_OPEN_SCIVIS, _SDRBENCH = "open-scivis", "sdrbench"
_EXAMPLES = (
    "nvc fetch --list",
    "nvc fetch open-scivis:fuel                    # fuel_64x64x64_uint8.raw",
    "nvc fetch sdrbench:miranda --directory data   # seven fields in data/miranda",
)


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Download public volumes: the Open SciVis Datasets and SDRBench; what broke off is continued."
    command = arguments.add_parser(commands, "fetch", _run, summary, _EXAMPLES)
    command.add_argument(
        "dataset",
        metavar="DATASET",
        nargs="?",
        help="open-scivis:NAME, which NAME alone means, too, or sdrbench:NAME; without one, list all",
    )
    command.add_argument("--list", action="store_true", help="list the data sets of both collections")
    command.add_argument("--directory", default=".", help="directory of the files (here)")
    arguments.add_overwrite(command)


def _run(options: argparse.Namespace) -> None:
    if options.list or options.dataset is None:
        _list(options)
        return
    collection, _, name = options.dataset.rpartition(":")
    with byte_progress_bar("fetch", quiet=options.quiet or options.json, compiles=False) as meter:
        on_progress = meter.on_download
        if collection == _SDRBENCH:
            from nvc_jax.io.sdrbench import fetch_sdrbench

            paths = fetch_sdrbench(name, options.directory, on_progress=on_progress)
        elif collection in ("", _OPEN_SCIVIS):
            from nvc_jax.io.open_scivis import fetch_dataset

            paths = [
                fetch_dataset(
                    name, options.directory, overwrite=options.overwrite, on_progress=meter.on_download
                )
            ]
        else:
            raise ValueError(f"`dataset` (={options.dataset}): name {_OPEN_SCIVIS}:NAME or {_SDRBENCH}:NAME")
    _report(paths, options)


def _report(paths: list[Path], options: argparse.Namespace) -> None:
    """Print where the files are, a line each, and what can be done with them."""
    if options.json:
        print_json({"paths": list(map(str, paths))})
        return
    for path in paths:
        print(path)
    if not options.quiet:
        first = paths[0]
        container = f"{first.name.split('_')[0]}.zarr"
        print(f"nvc fetch: next: nvc compress {shlex.quote(str(first))} {container}", file=sys.stderr)


def _list(options: argparse.Namespace) -> None:
    """Print all data sets."""
    from nvc_jax.io import open_scivis, sdrbench

    rows = [
        (f"{_OPEN_SCIVIS}:{name}", tuple(reversed(entry["size_xyz"])), entry["dtype"], 1, entry["bytes"])
        for name, entry in open_scivis.load_catalog().items()
    ]
    for name, entry in sdrbench.load_catalog().items():
        n_bytes, n_fields = int(entry["archive_gb"] * 1e9), len(entry["fields"])
        rows.append((f"{_SDRBENCH}:{name}", tuple(entry["shape"]), entry["dtype"], n_fields, n_bytes))
    if options.json:
        names = ("name", "shape", "dtype", "fields", "download_bytes")
        print_json({"datasets": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    header = ("data set", "z × y × x", "dtype", "fields", "download")
    print_table(header, [(n, format_shape(s), d, str(f), format_bytes(b)) for n, s, d, f, b in rows])
