"""The command ``nvc verify``."""

import argparse
from typing import Any

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_summary

_EXAMPLES = (
    "nvc verify volume.npy volume.zarr          # every chunk is decoded, every voxel compared",
    "nvc verify volume.zarr                     # no original at hand: every chunk is decoded",
    "nvc --quiet verify volume.npy volume.zarr && rm volume.npy",
)


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Decode every chunk of a container; compare it with the original."
    command = arguments.add_parser(commands, "verify", _run, summary, _EXAMPLES)
    command.add_argument("original", metavar="ORIGINAL", nargs="?", help=arguments.VOLUME_HELP)
    command.add_argument("container", metavar="CONTAINER", help=arguments.CONTAINER_HELP)
    arguments.add_selection(command)
    arguments.add_raw_layout(command)


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.evaluation.containers import verify

    original = None if options.original is None else arguments.volume(options.original, options)
    report = verify(original, arguments.location(options.container))
    print_summary(_describe(report, options), report, options)


def _describe(report: dict[str, Any], options: argparse.Namespace) -> str:
    """Say that a container is whole, and how far it is from the original."""
    n_chunks = report["chunks"]
    whole = f"{options.container}: {'its chunk is' if n_chunks == 1 else f'all {n_chunks} chunks are'} whole"
    if options.original is None:
        return f"{whole}; largest error stated: {report['max_error']:.6g}; no original was compared"
    if (pointwise := report.get("measured_pointwise_error")) is not None:
        return f"{whole}; every voxel is within {pointwise:.4g} of its own magnitude of {options.original}"
    largest, bound = report["measured_max_error"], report["bound"]
    kept = "" if bound is None else f", within the bound of {bound:.6g}"
    return f"{whole}; largest error against {options.original}: {largest:.6g}{kept}"
