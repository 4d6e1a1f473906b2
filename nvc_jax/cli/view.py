"""The command ``nvc view``."""

import argparse
import contextlib
import sys
import threading
import webbrowser

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_summary

_EXAMPLES = (
    "nvc view volume.zarr",
    "nvc view volume.npy volume.zarr                   # side by side, with their difference",
    "nvc view https://example.org/volume.zarr --no-browser --port 8000",
)
_WAIT_SECONDS = 3600.0


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Show containers, or any volumes, slice by slice in a browser."
    command = arguments.add_parser(commands, "view", _run, summary, _EXAMPLES)
    command.add_argument(
        "containers",
        metavar="CONTAINER",
        nargs="+",
        help=f"{arguments.CONTAINER_HELP}; or any volume: {arguments.VOLUME_HELP}",
    )
    command.add_argument(
        "--port", type=_port, default=0, help="port of this machine to listen at (a free one)"
    )
    command.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    arguments.add_mode(command)


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.viewer.server import open_all, serving

    volumes = open_all([arguments.location(text) for text in options.containers], options.mode)
    # Ctrl-C and SIGTERM are how the viewer is meant to end.
    with contextlib.suppress(KeyboardInterrupt), serving(volumes, options.port) as address:
        names = [volume.name for volume in volumes]
        sentence = f"{address} shows {', '.join(names)}; Ctrl-C ends it"
        print_summary(sentence, {"address": address, "volumes": names}, options)
        sys.stdout.flush()
        if not options.no_browser:
            webbrowser.open(address)
        while True:
            threading.Event().wait(_WAIT_SECONDS)


def _port(text: str) -> int:
    """Read the number of a port."""
    if not text.isdecimal() or not int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a port, from 0 (any that is free) to {(1 << 16) - 1}"
        )
    return int(text)
