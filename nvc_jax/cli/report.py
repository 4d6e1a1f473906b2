"""The command ``nvc report``."""

import argparse
from pathlib import Path

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_values

_EXAMPLES = (
    "nvc report scan.nii.gz scan.zarr",
    "nvc report flow.h5::/velocity flow.zarr flow.html --against sperr,sz3,zfp",
)


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Write one HTML page that shows what a container keeps of its original."
    command = arguments.add_parser(commands, "report", _run, summary, _EXAMPLES)
    command.add_argument("original", metavar="ORIGINAL", help=arguments.VOLUME_HELP)
    command.add_argument("container", metavar="CONTAINER", help=arguments.CONTAINER_HELP)
    command.add_argument(
        "page", metavar="OUT.html", nargs="?", help="the page (the container's name with .html, here)"
    )
    command.add_argument(
        "--against",
        default="",
        metavar="CODEC,...",
        help="other codecs at the same bound, or with the same bits: some of sperr, sz3, zfp",
    )
    command.add_argument(
        "--at", metavar="AXIS=N,...", help="place along time and channels, such as t=3 (the middle)"
    )
    arguments.add_selection(command)
    arguments.add_raw_layout(command)
    arguments.add_overwrite(command)


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.reporting.report import report

    container = arguments.location(options.container)
    result = report(
        arguments.volume(options.original, options),
        container,
        options.page or _page_of(options.container, container),
        against=[name for name in options.against.split(",") if name],
        at=options.at,
        overwrite=options.overwrite,
    )
    if options.json:
        print_values(result, as_json=True)
        return
    own = next(iter(result["figures"].values()))
    kept = {True: "yes", False: "no", None: "there is none"}[result["kept"]]
    shown = {"page": result["page"], "voxels": result["voxels"], "bound kept": kept}
    print_values(shown | {name: own[name] for name in ("psnr_db", "max_error")}, as_json=False)


def _page_of(text: str, container: object) -> str:
    """Name the page after the container.

    Raises:
        ValueError: the container has no name, being a spec of TensorStore.
    """
    if isinstance(container, dict):
        raise ValueError(f"`page`: the container {text} has no name that a page could take; give OUT.html")
    return f"{Path(text.rstrip('/')).name.removesuffix('.zip').removesuffix('.zarr')}.html"
